"""
The only reader and writer of Airflow's task state store.

It is scoped by DAG run, task and map index; it outlives retries, deferrals and clears. A write by an execution that is
no longer the task's current one is refused by Airflow, a read by it gives nothing: so a write is a fence, and a read
that gives nothing proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from airflow_provider_orchestration.exceptions import RecordError
from airflow_provider_orchestration.run.bounds import LARGEST_RECORD, size_of, within_bounds
from airflow_provider_orchestration.run.record import VERSION, Deferral, EventRecord, Phase, RunRecord
from airflow_provider_orchestration.run.words import wrapped

if TYPE_CHECKING:
    from airflow.sdk import Context

Record = RunRecord | EventRecord | Deferral
_Record = TypeVar("_Record", RunRecord, EventRecord, Deferral)
#: Under which key of the state store a record lies.
STORE_KEYS: dict[type, str] = {
    RunRecord: "formance_run",
    EventRecord: "formance_event",
    Deferral: "formance_deferral",
}
#: Phases that are written before the request that they are about.
_NOTHING_SENT_YET = (Phase.BEGUN, Phase.INTENT, "found")

_HOW_TO_MEND = ["what it submitted is therefore not known: find its instance, then mend or delete the record"]


class RecordStore:
    """
    Reads and writes the records of the task instance whose context is given.

    :param outlives_success: whether what is written is needed after the task's success.
    :raises RecordError: there is no store; or records must last, and ``[state_store] clear_on_success`` would wipe them
        when the task succeeds, after which a clear could not know that the money has moved.
    """

    def __init__(self, context: Context, *, outlives_success: bool = True) -> None:
        from airflow.sdk.configuration import conf

        if outlives_success and conf.getboolean("state_store", "clear_on_success", fallback=False):
            raise RecordError(
                "[state_store] clear_on_success is True: set it to False; nothing was sent",
                details=(
                    "Airflow would forget which run is this task's as soon as it succeeds, and a clear would pay twice",
                ),
            )
        store = context.get("task_state_store")
        if store is None:
            raise RecordError("there is no task state store, Airflow 3.3 or later is needed; nothing was sent")
        self._store = store

    def read(self, kind: type[_Record]) -> _Record | None:
        """
        Return the record, or None where there is none (or this execution is no longer the current one).

        :raises RecordError: it cannot be read, or a newer version of this provider wrote it.
        """
        raw = self._store.get(STORE_KEYS[kind])
        return None if raw is None else record_from(raw, kind)

    def write(self, record: Record) -> None:
        """Write the record, never to expire; raises if it cannot, and then nothing may be sent."""
        from airflow.sdk.execution_time.context import NEVER_EXPIRE

        self._store.set(STORE_KEYS[type(record)], as_json(record), retention=NEVER_EXPIRE)


def as_json(record: Record) -> dict[str, Any]:
    """
    Return a record as the state store takes it: JSON in the strict sense, for Airflow refuses a tuple; not too large.

    :raises RecordError: before anything was sent, it is too large, whatever of it is left out.
    """
    if isinstance(record, RunRecord):
        record = within_bounds(record)
    if size_of(record) > LARGEST_RECORD and getattr(record, "phase", None) in _NOTHING_SENT_YET:
        raise RecordError(
            f"the record of this task would have {size_of(record)} bytes, and at most {LARGEST_RECORD} are written; "
            "nothing was sent",
            details=("shorten ids, names and events",),
        )
    value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record))
    return value


def record_from(raw: object, kind: type[_Record]) -> _Record:
    """
    Return a record as the state store has it.

    :raises RecordError: it cannot be read, or a newer version of this provider wrote it.
    """
    version = raw.get("version", VERSION) if isinstance(raw, Mapping) else None
    if isinstance(version, int) and version > VERSION:
        raise RecordError(
            f"the record of this task (key {STORE_KEYS[kind]!r} in its Storage tab) is of version {version}, this "
            f"provider knows {VERSION}; nothing was sent",
            details=("install the newer provider again",),
        )
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise RecordError(
            f"the record of this task (key {STORE_KEYS[kind]!r} in its Storage tab) cannot be read; nothing was sent",
            details=wrapped(error) + _HOW_TO_MEND,
        ) from error
