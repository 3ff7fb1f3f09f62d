"""
A person decides: what ``adopt`` (that instance is this task's) and ``forget`` (submit again) make of a record.

Nothing of it submits: both only write the record, and the clear that follows goes by it (:mod:`.again`). Only what is
not known can be forgotten: a person may take the risk that a lost submission still runs, and not pay twice knowingly.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_orchestration.exceptions import InvalidInputError
from airflow_provider_orchestration.run.judge.outcome import State
from airflow_provider_orchestration.run.record import NONCE, Decision, Earlier, Phase, RunRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_orchestration.api.models import Instance

#: A run key at the beginning of a text: DAG id, run id, task (or business identity) and nonce.
_RUN_KEY = re.compile(r"(?P<dag_id>[^/@]+)/(?P<run_and_name>.+?/.+?)@" + NONCE)
_POSITION = re.compile(r"(?P<task_id>.+)\[(?P<map_index>\d+)\]")


def run_keys_in(texts: Iterable[str] | None) -> list[str]:
    """Return the run keys among the texts that a first stage was given (None: its history cannot be read)."""
    return sorted(found[0] for text in texts or () if (found := _RUN_KEY.match(text)))


def position_of(run_key: str) -> tuple[str, str, str, int]:
    """
    Return DAG id, run id, task id and map index (-1: not mapped) that a run key names.

    With ``run_key_name`` it is that name, and no task id.
    """
    parts = _RUN_KEY.fullmatch(run_key)
    if parts is None:
        raise InvalidInputError(f"{run_key!r} is not a run key")
    run_id, _, name = parts["run_and_name"].rpartition("/")
    mapped = _POSITION.fullmatch(name)
    if mapped is None:
        return parts["dag_id"], run_id, name, -1
    return parts["dag_id"], run_id, mapped["task_id"], int(mapped["map_index"])


def name_of(run_key: str) -> str:
    """Return what a task's run keys begin with, up to the nonce."""
    return run_key.rpartition("@")[0] + "@"


def own_key(keys: Iterable[str], names: Iterable[str]) -> str | None:
    """
    Return the key by which an instance is proven to be of this task, or None where it bears no run key.

    :param keys: the run keys that its first stage was given.
    :param names: what this task's keys begin with, see :func:`~.record.task_name`.
    :raises InvalidInputError: it bears the key of another task.
    """
    keys, names = list(keys), tuple(names)
    if own := next((key for key in keys if name_of(key) in names), None):
        return own
    if keys:
        raise InvalidInputError(
            f"it bears run key {keys[0]!r}, so it is the run of another task than {' or '.join(names)}..."
        )
    return None


def names_of(record: RunRecord | None, name: str) -> tuple[str, ...]:
    """
    Return what the run keys of a task begin with: by its position, and by its record (with a ``run_key_name``).

    :param name: by its position, from :func:`~.record.task_name`.
    """
    return (name,) if record is None else (name, name_of(record.run_key))


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
    if record.instance_id is not None and named not in (State.FAILED, State.DEAD) and not _only_said(record):
        raise InvalidInputError(
            f"this task has a run of its own, instance {record.instance_id}, {named or 'of which nothing is known'}; "
            "only one that has failed can be replaced"
        )
    earlier = record.replaced()
    if (
        record.instance_id is None
        and record.phase in (Phase.INTENT, Phase.UNKNOWN)
        and key not in (None, record.run_key)
    ):
        earlier = (*earlier, Earlier(record.run_key, state=str(Phase.UNKNOWN)))
    return record.but(
        phase=Phase.SUBMITTED,
        run_key=key or record.run_key,
        instance_id=instance.id,
        state=None,
        error=None,
        result=None,
        earlier=earlier,
        decisions=(*record.decisions, by),
    )


def record_for(instance: Instance, key: str | None, name: str, generation: int, by: Decision) -> RunRecord:
    """
    Return a record for a task that has none, with an instance as its own.

    What the task asks for is not known here, so its digest is empty: the execution that takes the instance over fills
    it in. A deadline it has none.

    :param name: what the task's run keys begin with.
    :param generation: ``max_tries`` of the task instance.
    """
    return RunRecord(
        run_key=key or f"{name}adopted",
        workflow_id=instance.workflow_id,
        digest={},
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


def _only_said(record: RunRecord) -> bool:
    """Tell whether the record's instance is this task's because a person said so: who erred can correct it."""
    return any(said.what == "adopt" and said.instance_id == record.instance_id for said in record.decisions)
