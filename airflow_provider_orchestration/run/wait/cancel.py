"""Asking Flows to cancel an instance, and looking whether it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.run.judge.reading import read_instance
from airflow_provider_orchestration.run.words import in_words

if TYPE_CHECKING:
    import logging

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.run.judge.outcome import Outcome


def ask_to_cancel(
    client: FlowsClient,
    instance_id: str,
    log: logging.Logger | Any,
    *,
    timeout: float,
    poll_interval: float,
    pause: Callable[[float], None],
) -> tuple[Instance, Outcome]:
    """
    Ask Flows to cancel, then look for up to ``timeout`` seconds, and return what was seen last.

    The known servers answer 204 and go on (flows-api, "What bites", 5): only looking tells.
    """
    client.cancel_event(instance_id)
    log.info("asked Flows to cancel instance %s; looking for up to %s whether it ends", instance_id, in_words(timeout))
    until = time.time() + timeout
    while True:
        instance, outcome = read_instance(client, instance_id)
        if outcome.ended or time.time() >= until:
            return instance, outcome
        pause(max(0.0, min(poll_interval, until - time.time())))
