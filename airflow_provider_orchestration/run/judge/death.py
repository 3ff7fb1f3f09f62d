"""Whether an instance that is said to run is dead: ended in the engine behind Flows, which Flows does not tell."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import FlowsApiError, InstanceEndedError
from airflow_provider_orchestration.run.judge.outcome import Outcome, State
from airflow_provider_orchestration.run.judge.reading import read_instance
from airflow_provider_orchestration.run.judge.result import result_of

if TYPE_CHECKING:
    import logging

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.run.record import RunRecord

#: Seconds between the two probes that must agree.
PROBE_PAUSE = 3.0


def look_whether_alive(
    client: FlowsClient, instance_id: str, log: logging.Logger | Any, pause: Callable[[float], None]
) -> tuple[Instance, Outcome]:
    """Read an instance, and probe one that is said to run: it may have been terminated in the engine."""
    instance, outcome = read_instance(client, instance_id)
    if not outcome.ended and is_terminated_in_engine(client, instance, log, pause):
        return instance, DEAD
    return instance, outcome


def is_terminated_in_engine(
    client: FlowsClient, instance: Instance, log: logging.Logger | Any, pause: Callable[[float], None]
) -> bool:
    """
    Probe whether an instance that is said to run has ended in the engine, where nothing else shows it.

    An event under a random name, which no stage waits for, is answered ``workflow execution already completed``
    (flows-api, "What bites", 9). It is believed only if two probes say so and nothing moved between them: an instance
    that is just ending, or between two stages, answers so, too. Needs a client that may write.
    """
    before = instance
    for attempt in range(2):
        if attempt:
            pause(PROBE_PAUSE)
        try:
            client.send_event(instance.id, f"airflow-probe-{secrets.token_hex(8)}", retries=0)
        except InstanceEndedError:
            pass
        except FlowsApiError as error:
            log.debug("probe of instance %s: %s", instance.id, error)
            return False
        else:
            return False
        after, outcome = read_instance(client, instance.id)
        if outcome.ended or after.status != before.status or _may_be_between_stages(client, instance.id):
            return False
        before = after
    log.error("instance %s is said to run, but was terminated in the engine", instance.id)
    return True


def _may_be_between_stages(client: FlowsClient, instance_id: str) -> bool:
    """
    Tell whether the latest stage ended by itself, or it cannot be told.

    The next one is about to begin then: in minutes, where the worker of Flows is down.
    """
    try:
        history = client.get_instance_history(instance_id)
    except FlowsApiError:
        return True
    return not history or (history[-1].terminated and not history[-1].error)


DEAD = Outcome(State.DEAD, error="terminated in the engine, though Flows says that it runs")


def lives_after_all(client: FlowsClient, record: RunRecord) -> bool:
    """
    Tell whether an instance that was taken for dead has moved since, or succeeded: it must not be replaced.

    :raises FlowsApiError: it cannot be read.
    """
    instance, outcome = read_instance(client, str(record.instance_id))
    if outcome.ended:
        return outcome.state is State.SUCCEEDED
    return bool(result_of(instance, outcome)["stages"] != (record.result or {}).get("stages"))
