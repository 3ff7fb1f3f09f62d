"""The end of an instance that a sensor waits for: read whole, in a worker or in one of the triggerer's threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import FlowsApiError, InstanceFailedError, InvalidInputError
from airflow_provider_orchestration.run.judge.outcome import Outcome, State, judge
from airflow_provider_orchestration.run.judge.reading import whole_instance
from airflow_provider_orchestration.run.judge.result import result_of, with_transactions
from airflow_provider_orchestration.run.judge.stages import failure

if TYPE_CHECKING:
    import logging

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.run.wait.watch import Verdict


def read_end(
    client: FlowsClient, instance_id: str, verdict: Verdict, log: logging.Logger | Any, *, retries: int | None = None
) -> dict[str, Any] | str:
    """
    Return the result of an instance that is known to have succeeded, or the reason why there is none yet.

    :param verdict: of those who looked at it; a hint, but for what the instance itself does not show.
    :param retries: of the read of the instance; None for the client's own.
    :raises InstanceFailedError: it ended in any other way.
    :raises InvalidInputError: there is no such instance.
    """
    if verdict.verdict == "not_found":
        raise unknown_instance(instance_id, verdict.error)
    try:
        instance = whole_instance(client, instance_id, retries=retries)
    except FlowsApiError as error:
        return f"instance {instance_id} cannot be read now: {error}"
    outcome = judge(instance)
    if verdict.verdict == "dead" and not outcome.ended:
        outcome = Outcome(State.DEAD, verdict.stage, verdict.error)
    return result_of_success(instance, outcome, client, log) if outcome.ended else f"instance {instance_id} goes on"


def result_of_success(
    instance: Instance, outcome: Outcome, client: FlowsClient, log: logging.Logger | Any
) -> dict[str, Any]:
    """Return the result of an instance that has ended. :raises InstanceFailedError: it did not succeed."""
    result = with_transactions(result_of(instance, outcome), client, log)
    if outcome.state is not State.SUCCEEDED:
        raise InstanceFailedError(
            f"instance {instance.id} {outcome.state}: {failure(instance, outcome)}", instance_id=instance.id
        )
    return result


def unknown_instance(instance_id: str, error: str | None) -> InvalidInputError:
    """Return the error that says that the stack knows no such instance."""
    return InvalidInputError(f"instance_id: the stack knows no instance {instance_id!r}: {error}")
