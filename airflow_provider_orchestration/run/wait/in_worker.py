"""Waiting in the worker: the same looks as in the triggerer, one after another."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_orchestration.run.wait.watch import Verdict, Watch, take_look

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient


#: Seconds of ``Retry-After`` that are kept at the most, as the poller does.
LONGEST_RETRY_AFTER = 300.0


def wait_for_verdict(
    client: FlowsClient, watch: Watch, poll_interval: float, pause: Callable[[float], None]
) -> Verdict:
    """
    Look at an instance every ``poll_interval`` seconds until there is a verdict.

    :param pause: sleeps; an operator gives one that also sees when the task is told to stop.
    """
    while True:
        look = take_look(client, watch.instance_id, with_history=watch.wants_history)
        if verdict := watch.take(look):
            return verdict
        wait = poll_interval
        if look.error is not None:
            # Retry-After is kept; a failed look is no reason to look more often.
            wait = max(wait, min(getattr(look.error, "retry_after", None) or 0.0, LONGEST_RETRY_AFTER))
        if watch.deadline is not None:
            wait = min(wait, max(0.0, watch.deadline - time.time()))
        pause(wait)
