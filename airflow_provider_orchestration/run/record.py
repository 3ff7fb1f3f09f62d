"""What is known of a task: the one schema of its records in Airflow's task state store."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

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
    #: Of a task that has only begun: its position, with which its keys will begin.
    run_key: str
    #: Of a task that has only begun: empty.
    workflow_id: str
    #: A short hash of each thing asked for (the workflow as the DAG names it, each variable); empty: not known.
    digest: dict[str, str]
    #: ``ti.max_tries`` of the execution that wrote it last: it changes with a clear, never with a retry. Not with each
    #: clear: of several running tasks that are cleared together Airflow 3.3.2 can forget it for all but one.
    generation: int
    #: ``dag_run.clear_number``, which changes with the clear of any task of the DAG run; -1: not known.
    clear_number: int = -1
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
    #: With ``cut`` in it where it was too large to be kept whole, see :mod:`.bounds`.
    result: dict[str, Any] | None = None
    earlier: tuple[Earlier, ...] = ()
    decisions: tuple[Decision, ...] = ()
    #: What was left out of the two above because there was too much of it.
    cut: str | None = None

    @classmethod
    def begun(cls, position: str, digest: dict[str, str], **execution: Any) -> RunRecord:
        """
        Return the record of a task that has sent nothing yet.

        :param position: what its run keys will begin with, from :func:`~.keys.position_name`.
        :param digest: of what is asked for.
        :param execution: ``generation``, ``try_number`` and ``clear_number`` of the one that begins.
        """
        return cls(run_key=position, workflow_id="", digest=digest, phase=Phase.BEGUN, intent_at=0.0, **execution)

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


class Deferral(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    The latest deferral of a task.

    A clear of a running task that was resumed from one begins the next try at the same method with the same old event;
    so a resume counts as one only where all of this fits.
    """

    version: int = VERSION
    #: Random; the event of its trigger carries it, too.
    nonce: str
    #: ``ti.try_number`` and ``ti.max_tries`` of the execution that deferred.
    try_number: int
    generation: int
    #: The method at which Airflow is to resume.
    method: str
    #: How often this try began anew, because it was resumed with something else.
    anew: int = 0
