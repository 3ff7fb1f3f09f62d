"""Runs of which too little is known: without a record, or without an answer. What is told, and what a person can do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import FormanceError, RecordError, UnknownRunError
from airflow_provider_orchestration.run.definition import is_recoverable, shows_key_alone
from airflow_provider_orchestration.run.submit.recovery import Candidate, KeyScan, describe

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Workflow
    from airflow_provider_orchestration.run.record import RunRecord


def began_at(dag_run: Any) -> float:
    """
    Return the epoch second before which nothing can have been submitted by a DAG run.

    What is older and bears its name is of a run that was deleted and made again. A clear moves the start, so a run that
    was ever cleared may be as old as its schedule. (So does setting it to queued by hand, which nothing tells: a person
    who does that and removes the record, too, has it submitted again.)
    """
    if dag_run.start_date is None:
        return float(dag_run.run_after.timestamp())
    started = float(dag_run.start_date.timestamp())
    return started if dag_run.clear_number == 0 else min(started, float(dag_run.run_after.timestamp()))


def find_orphan(client: FlowsClient, workflow: Workflow, name: str, since: float) -> Candidate | None:
    """
    Return the instance whose run key begins with a task's name: one that runs before one that has ended, a newer first.

    :param since: epoch seconds of the beginning of the DAG run.
    :raises FormanceError: the stack, or a history that could be the one, cannot be read now.
    :raises RecordError: the workflow shows the key within a longer text only, so that the name found there may be the
        end of another task's.
    """
    if not is_recoverable(workflow):
        return None
    scanned = KeyScan().scan(client, workflow.id, since, retries=None)
    if scanned.error is not None:
        raise FormanceError(f"whether an earlier try submitted cannot be looked up: {scanned.error}. Nothing was sent.")
    bearing = [candidate for candidate in scanned.candidates if candidate.has_key(name)]
    mine = [candidate for candidate in bearing if candidate.key_from(name)]
    if bearing and not mine and not shows_key_alone(workflow):
        raise RecordError(
            f"there is no record of an earlier try, and each of these instances may be this task's: "
            f"{describe(bearing)}. Nothing was sent. Adopt the right one with `airflow formance adopt`."
        )
    undecided = [candidate for candidate in scanned.candidates if candidate.texts is None and not candidate.forgotten]
    if undecided and not mine:
        raise FormanceError(
            f"whether an earlier try submitted cannot be told yet: {describe(undecided)}. Nothing was sent."
        )
    return next((one for one in reversed(mine) if not one.terminated), mine[-1] if mine else None)


def unknown_run(record: RunRecord, candidates: Sequence[Candidate], trouble: str | None = None) -> UnknownRunError:
    """
    Return the error that names the key, the time, the candidates, and the three ways on.

    :param trouble: why the candidates could not be looked at again just now.
    """
    unread = f" (as far as is known: the last look failed, {trouble})" if trouble else ""
    why = "" if record.recoverable else "The workflow is not recoverable, so no look can prove whose an instance is. "
    return UnknownRunError(
        f"whether this task's run was submitted is not known (run key {record.run_key}, sent at "
        f"{datetime.fromtimestamp(record.intent_at, UTC):%Y-%m-%d %H:%M:%S} UTC). {why}Instances of workflow "
        f"{record.workflow_id} created since: {describe(candidates)}{unread}. It may still start later; nothing is "
        "submitted again by itself. What a person can do: clear the task to look again; or `airflow formance adopt` "
        "the instance that is this task's, then clear it; or, sure that nothing was submitted, `airflow formance "
        "forget` it, then clear it to submit again."
    )
