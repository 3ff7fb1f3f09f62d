"""
What is done when Airflow tells a task to stop: a cancel is asked for only if a person has marked the task failed.

Airflow calls ``on_kill`` also when a triggerer stalls and another takes over, when a worker loses its heartbeat or is
drained, on ``execution_timeout``, and seconds after a clear. So the task's state is read, there and then: only
``failed`` leads to a cancel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import FormanceError

if TYPE_CHECKING:
    import logging

    from airflow_provider_orchestration.api.client import FlowsClient

#: Seconds for the one request: Airflow ends the process 5 s after it asked it to stop.
CANCEL_TIMEOUT = 2.0


def task_state(ti: Any) -> str | None:
    """
    Return the state of a task instance as Airflow's API server has it now, or None where it has no such task.

    Blocks; not for an event loop. ``ti`` is what a worker's context or a trigger knows of the task instance.
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
