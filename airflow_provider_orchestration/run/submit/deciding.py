"""
A person decides: what ``adopt`` (that instance is this task's) and ``forget`` (submit again) make of a record.

Nothing of it submits: both only write the record, and the clear that follows goes by it (:mod:`.again`). Only what is
not known can be forgotten: a person may take the risk that a lost submission still runs, and not pay twice knowingly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_orchestration.exceptions import InvalidInputError
from airflow_provider_orchestration.run.judge.outcome import REPLACEABLE, State
from airflow_provider_orchestration.run.keys import digest_of_key, read_run_key
from airflow_provider_orchestration.run.record import Decision, Earlier, Phase, RunRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_orchestration.api.models import Instance


def own_key(keys: Sequence[str], position: str) -> str | None:
    """
    Return the key by which an instance is proven to be of this task, or None where it bears no run key.

    :param keys: the run keys that its first stage was given.
    :param position: this task's, see :func:`~.keys.position_name`.
    :raises InvalidInputError: it bears the key of another task.
    """
    if own := next((key for key in keys if read_run_key(key).position == position), None):
        return own
    if keys:
        raise InvalidInputError(f"it bears run key {keys[0]!r}, so it is the run of another task than {position}")
    return None


def adopted(record: RunRecord, instance: Instance, key: str | None, named: State | None, by: Decision) -> RunRecord:
    """
    Return the record with an instance as its own; the same one where it is already.

    What it replaces is kept among the earlier submissions.

    :param key: the run key by which the instance is proven to be this task's, if any, see :func:`own_key`.
    :param named: what became of the instance that the record names, if it names one.
    :raises InvalidInputError: the instance is of another workflow, or the record's own one runs or has succeeded.
    """
    if instance.workflow_id != record.workflow_id:
        raise InvalidInputError(
            f"it is of workflow {instance.workflow_id}, and this task submitted workflow {record.workflow_id}"
        )
    if instance.id == record.instance_id:
        return record
    if record.instance_id is not None and named not in REPLACEABLE and not only_said(record):
        raise InvalidInputError(
            f"this task has a run of its own, instance {record.instance_id}, {named or 'of which nothing is known'}; "
            "only one that has failed can be replaced"
        )
    earlier = record.replaced()
    digest = record.digest
    if key not in (None, record.run_key):
        digest = digest_of_key(read_run_key(str(key)))
    if (
        record.instance_id is None
        and record.phase in (Phase.INTENT, Phase.UNKNOWN)
        and key not in (None, record.run_key)
    ):
        earlier = (*earlier, Earlier(record.run_key, state=str(Phase.UNKNOWN)))
    return record.but(
        phase=Phase.SUBMITTED,
        run_key=key or record.run_key,
        digest=digest,
        instance_id=instance.id,
        state=None,
        error=None,
        result=None,
        earlier=earlier,
        decisions=(*record.decisions, by),
    )


def record_for(instance: Instance, key: str | None, position: str, generation: int, by: Decision) -> RunRecord:
    """
    Return a record for a task that has none, with an instance as its own.

    What the task asks for is not known here, only what the instance's key proves; without one, the execution that takes
    it over fills that in. A deadline it has none.

    :param position: the task's, with which its run keys begin.
    :param generation: ``max_tries`` of the task instance.
    """
    return RunRecord(
        run_key=key or f"{position}@adopted",
        workflow_id=instance.workflow_id,
        digest={} if key is None else digest_of_key(read_run_key(key)),
        generation=generation,
        phase=Phase.SUBMITTED,
        intent_at=instance.created_at.timestamp(),
        recoverable=key is not None,
        instance_id=instance.id,
        decisions=(by,),
    )


def forgotten(record: RunRecord, by: Decision) -> RunRecord:
    """
    Return the record with its submission forgotten, so that a clear submits again.

    :raises InvalidInputError: there is nothing to forget, or too much is known for it.
    """
    if record.phase not in (Phase.INTENT, Phase.UNKNOWN):
        raise InvalidInputError(_why_not_forgotten(record))
    return record.but(
        phase=Phase.FORGOTTEN,
        earlier=(*record.earlier, Earlier(record.run_key, state=str(Phase.FORGOTTEN))),
        decisions=(*record.decisions, by),
    )


def _why_not_forgotten(record: RunRecord) -> str:
    if record.phase in (Phase.BEGUN, Phase.REFUSED):
        return "nothing of it was accepted, that is known: clear the task, and it submits"
    if record.phase is Phase.FORGOTTEN:
        return "it is forgotten already: clear the task, and it submits again"
    its = f"its run is known, instance {record.instance_id}"
    if record.phase is Phase.SUBMITTED:
        return (
            f"{its}: clear the task to take it over; once it is known to have failed, another clear submits anew. To "
            "run the workflow again all the same, start a new DAG run"
        )
    if record.state == State.SUCCEEDED:
        return f"{its}, and it has succeeded: submitting again would pay twice. To run it anew, start a new DAG run"
    return f"{its}, and it is {record.state}: clear the task, and it submits anew"


def only_said(record: RunRecord) -> bool:
    """Tell whether the record's instance is this task's because a person said so: who erred can correct it."""
    return any(said.what == "adopt" and said.instance_id == record.instance_id for said in record.decisions)
