"""
What is done when Airflow tells a task to stop: a cancel is asked for only if a person has marked the task failed.

Airflow calls ``on_kill`` also when a triggerer stalls and another takes over, when a worker loses its heartbeat or is
drained, on ``execution_timeout``, and seconds after a clear. So the task's state is read, there and then: only
``failed`` leads to a cancel. And not even that where this process stood still for a while: Airflow gives up what it
hears nothing of, and that the task then failed need not be a person's doing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import FormanceError

if TYPE_CHECKING:
    import logging

    from airflow_provider_orchestration.api.client import FlowsClient

#: Seconds for the one request: Airflow ends the process 5 s after it asked it to stop.
CANCEL_TIMEOUT = 2.0
#: Seconds for which it is remembered that a process stood still.
_REMEMBERED = 300.0


class Pulse:
    """
    Notices that its process stood still (was paused, starved, or asleep with its machine).

    :param longest: seconds that may lie between two beats, by the wall clock.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._latest: float | None = None
        self._stood_still_at = float("-inf")

    def begin(self) -> None:
        """Begin to be called, for the first time or after a pause in which nobody did."""
        self._latest = None

    def beat(self) -> None:
        """Note that the process moves."""
        # The wall clock: the monotonic one stands still, too, while a virtual machine is paused.
        now = time.time()
        if self._latest is not None and abs(now - self._latest) > self._longest:
            self._stood_still_at = now
        self._latest = now

    def stood_still(self) -> bool:
        """Tell whether the process stood still, up to now or a few minutes ago."""
        self.beat()
        return time.time() - self._stood_still_at < _REMEMBERED


def cancel_if_marked_failed(
    ti: Any, client: FlowsClient, instance_id: str, log: logging.Logger | Any, pulse: Pulse
) -> bool:
    """
    Do what is to be done when told to stop; tell whether a cancel was asked for. Blocks; not for an event loop.

    :param ti: what a worker's context or a trigger knows of the task instance.
    """
    if pulse.stood_still():
        log.warning(
            "told to stop after this process had stood still: Airflow may have given the task up by itself, so "
            "instance %s is not cancelled",
            instance_id,
        )
        return False
    try:
        state = task_state(ti)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no proof that the task failed
        log.warning("told to stop, but the task's state cannot be read (%s): nothing is cancelled", error)
        return False
    return cancel_if_failed(state, client, instance_id, log)


def task_state(ti: Any) -> str | None:
    """
    Return the state of a task instance as Airflow's API server has it now, or None where it has no such task.

    Blocks; not for an event loop.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id, map_index=ti.map_index, task_ids=[ti.task_id], run_ids=[ti.run_id]
    )
    name = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
    state = states.get(ti.run_id, {}).get(name)
    return None if state is None else str(state)


def cancel_if_failed(state: str | None, client: FlowsClient, instance_id: str, log: logging.Logger | Any) -> bool:
    """Ask once and quickly for a cancel if the task's state is ``failed``; the log says what was seen either way."""
    if state != "failed":
        log.warning("told to stop; the task's state is %s, so instance %s is not cancelled", state, instance_id)
        return False
    try:
        client.cancel_event(instance_id, retries=0, timeout=CANCEL_TIMEOUT)
    except FormanceError as error:
        log.error("the task was marked failed; asking to cancel instance %s did not work: %s", instance_id, error)
        return False
    log.warning(
        "the task was marked failed: asked Flows to cancel instance %s (it may go on all the same)", instance_id
    )
    return True
