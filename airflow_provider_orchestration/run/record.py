"""
What is known of a task's run: the one schema in Airflow's task state store, and its only reader and writer.

The store is scoped by DAG run, task and map index; it outlives retries, deferrals and clears. A write by an
execution that is no longer the task's current one is refused by Airflow, a read by it gives nothing: so a write is
a fence, and a read that gives nothing proves nothing.
"""

from __future__ import annotations

import enum
import hashlib
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from airflow_provider_orchestration.exceptions import RecordError

if TYPE_CHECKING:
    from airflow.sdk import Context

VERSION = 1


class Phase(enum.StrEnum):
    """How far a submission came."""

    #: Written by the first execution before anything else: a later one knows that nothing was sent yet, and does not
    #: take an instance for its own that bears the same names (of another deployment, of a deleted DAG run).
    BEGUN = "begun"
    #: Written before the POST. Found later: a worker died, and whether it was sent is not known.
    INTENT = "intent"
    #: Proven not to have been accepted.
    REFUSED = "refused"
    #: Accepted; the instance id is known.
    SUBMITTED = "submitted"
    #: The answer to the POST was lost.
    UNKNOWN = "unknown"
    #: The instance has ended and the outcome is written.
    ENDED = "ended"
    #: A person has decided that nothing of it counts any more.
    FORGOTTEN = "forgotten"


class Earlier(msgspec.Struct, frozen=True, omit_defaults=True):
    """A submission that a person has replaced by a clear."""

    run_key: str
    instance_id: str | None = None
    state: str | None = None
    error: str | None = None


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person decided on the command line about a run that was not known."""

    #: ``adopt`` (that instance is this task's) or ``forget`` (submit again).
    what: str
    who: str
    #: ISO 8601, UTC.
    when: str
    instance_id: str | None = None


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The record of one task's run; times are epoch seconds."""

    version: int = VERSION
    #: Of a task that has only begun: what its keys will begin with.
    run_key: str
    #: Of a task that has only begun: empty.
    workflow_id: str
    #: A short hash of each thing asked for (the workflow as the DAG names it, each variable); empty: not known.
    digest: dict[str, str]
    #: ``ti.max_tries`` of the execution that wrote it last: it changes with a clear, never with a retry.
    generation: int
    #: ``ti.try_number`` of the execution that submitted it, or took it over last.
    try_number: int = 0
    phase: Phase
    #: The time of the intent, by the server's clock or this machine's, whichever is behind: instances created before it
    #: cannot be this run.
    intent_at: float
    recoverable: bool = False
    deadline: float | None = None
    instance_id: str | None = None
    #: Of an ended run: ``succeeded``, ``failed`` or ``dead``.
    state: str | None = None
    error: str | None = None
    result: dict[str, Any] | None = None
    earlier: tuple[Earlier, ...] = ()
    decisions: tuple[Decision, ...] = ()

    @classmethod
    def begun(cls, name: str, generation: int) -> RunRecord:
        """
        Return the record of a task that has sent nothing yet.

        :param name: what its run keys will begin with, from :func:`task_name`.
        :param generation: ``ti.max_tries``.
        """
        return cls(run_key=name, workflow_id="", digest={}, generation=generation, phase=Phase.BEGUN, intent_at=0.0)

    def but(self, **changes: Any) -> RunRecord:
        """Return a copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)

    def replaced(self) -> tuple[Earlier, ...]:
        """Return the earlier submissions of what replaces this record: itself among them where it had an instance."""
        if self.instance_id is None:
            return self.earlier
        return (*self.earlier, Earlier(self.run_key, self.instance_id, self.state, self.error))


class EventRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The record of one task's event: which stage is to take it, and how far that came."""

    version: int = VERSION
    instance_id: str
    event: str
    #: The stage that is to take it; None where that is not asked (``confirm=False``).
    stage: int | None
    #: ``found`` (is being sent), ``refused`` (proven not to have arrived), ``sent`` (204), ``unknown`` (answer lost),
    #: ``taken``, ``missed`` (the stage waits no more, and did not get it).
    phase: str
    #: ``ti.max_tries`` of the execution that wrote it.
    generation: int = -1
    #: How often it may have been sent, the one that is being sent included.
    times: int = 0

    def but(self, **changes: Any) -> EventRecord:
        """Return a copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)


_Record = TypeVar("_Record", RunRecord, EventRecord)
#: Under which key of the state store a record lies.
STORE_KEYS: dict[type, str] = {RunRecord: "formance_run", EventRecord: "formance_event"}


class RecordStore:
    """
    Reads and writes the records of the task instance whose context is given.

    :raises RecordError: there is no store, or ``[state_store] clear_on_success`` would wipe records when a task
        succeeds, after which a clear could not know that the money has moved.
    """

    def __init__(self, context: Context) -> None:
        from airflow.sdk.configuration import conf

        if conf.getboolean("state_store", "clear_on_success", fallback=False):
            raise RecordError(
                "[state_store] clear_on_success is True: Airflow would forget which run belongs to this task as soon "
                "as it succeeds, and a clear would pay twice. Set it to False. Nothing was sent."
            )
        store = context.get("task_state_store")
        if store is None:
            raise RecordError("there is no task state store; Airflow 3.3 or later is needed. Nothing was sent.")
        self._store = store

    def read(self, kind: type[_Record]) -> _Record | None:
        """
        Return the record, or None where there is none (or this execution is no longer the current one).

        :raises RecordError: it cannot be read, or a newer version of this provider wrote it.
        """
        raw = self._store.get(STORE_KEYS[kind])
        return None if raw is None else record_from(raw, kind)

    def write(self, record: RunRecord | EventRecord) -> None:
        """Write the record, never to expire; raises if it cannot, and then nothing may be sent."""
        from airflow.sdk.execution_time.context import NEVER_EXPIRE

        self._store.set(STORE_KEYS[type(record)], as_json(record), retention=NEVER_EXPIRE)


def as_json(record: RunRecord | EventRecord) -> dict[str, Any]:
    """Return a record as the state store takes it: JSON in the strict sense, for Airflow refuses a tuple."""
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
            f"provider knows {VERSION}: install the newer provider again. Nothing was sent."
        )
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise RecordError(
            f"the record of this task (key {STORE_KEYS[kind]!r} in its Storage tab) cannot be read: {error}. What it "
            "submitted is therefore not known; find its instance, then mend or delete the record. Nothing was sent."
        ) from error


def task_name(dag_id: str, run_id: str, task_id: str, map_index: int, run_key_name: str | None) -> str:
    """
    Return the name that the run keys of a task begin with: ``dag_id/run_id/task_id[map_index]``.

    :param map_index: -1 for a task that is not mapped.
    :param run_key_name: a business identity (an invoice number) in place of task id and map index.
    """
    position = f"{task_id}[{map_index}]" if map_index >= 0 else task_id
    return f"{dag_id}/{run_id}/{run_key_name or position}@"


#: What follows a task's name in a run key, as a regular expression.
NONCE = "[0-9a-f]{16}"


def new_run_key(name: str) -> str:
    """Return a key that no other submission has, of this deployment or of another one on the same stack."""
    return name + secrets.token_hex(8)


def digest_of(workflow: str, variables: Mapping[str, Any]) -> dict[str, str]:
    """Return a short hash of the workflow and of each variable, so that what differs can be named."""
    asked = {"workflow": workflow, **{f"variables.{name}": value for name, value in variables.items()}}
    return {name: _hash(value) for name, value in sorted(asked.items())}


def differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the names of what differs between two digests; none where the old one is empty, so not known."""
    return [] if not old else sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _hash(value: Any) -> str:
    # Of anything, as the variables of a later execution are compared before they are checked.
    text = value if isinstance(value, str) else str(value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
