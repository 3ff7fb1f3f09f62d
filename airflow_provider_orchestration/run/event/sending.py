"""
Send an event once: record, fence, send, see that it was taken. The rules are here and nowhere else.

Flows answers 204 and loses an event that no stage is listening for, and any stage that waits for the name takes it
(flows-api, "What bites", 6). So the record holds which stage is to take it before it is sent, and what may have been
sent is not sent again where another stage could take it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import (
    EventNotTakenError,
    FlowsApiError,
    FormanceError,
    InstanceEndedError,
    NotFoundError,
    OutcomeUnknownError,
    ServerTroubleError,
    StoppedError,
)
from airflow_provider_orchestration.run.definition import stages_of
from airflow_provider_orchestration.run.event.stage import stage_ended, stages_to_come, took_event
from airflow_provider_orchestration.run.judge.reading import read_instance
from airflow_provider_orchestration.run.judge.stages import current_stage, stage_number
from airflow_provider_orchestration.run.record import EventRecord
from airflow_provider_orchestration.run.store import RecordStore
from airflow_provider_orchestration.run.words import in_words, tell, wrapped

if TYPE_CHECKING:
    import logging

    from airflow.sdk import Context

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.run.judge.outcome import Outcome

#: Seconds between two looks whether a stage that was sent its event has taken it, or has begun to listen.
_SHORT_PAUSE = 1.0
#: Seconds after which an event whose answer was lost counts as not arrived, if the stage still waits.
_LOST_AFTER = 10.0
#: How often an event is sent at the most, where a repeated one can do no harm.
_TIMES = 2


@dataclass
class EventSending:
    """
    The sending of one task's event over all its executions.

    :param pause: sleeps so many seconds.
    :param told_to_stop: read just before the POST; True stops it.
    :param confirm_timeout: seconds within which it must be sent, and then the stage must have ended.
    """

    context: Context
    client: FlowsClient
    instance_id: str
    event: str
    log: logging.Logger | Any
    pause: Callable[[float], None]
    told_to_stop: Callable[[], bool]
    confirm_timeout: float
    _store: RecordStore = field(init=False)
    #: How many stages there are, once that was read.
    _stages: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._store = RecordStore(self.context)

    def earlier(self) -> EventRecord | None:
        """Return the record that an earlier execution left of this very event."""
        record = self._store.read(EventRecord)
        if record is not None and (record.instance_id, record.event) != (self.instance_id, self.event):
            self.log.info(
                "an earlier execution sent %r to instance %s; this is another event", record.event, record.instance_id
            )
            return None
        return record

    def send_unconfirmed(self) -> bool:
        """
        Send the event, whatever becomes of it; return whether an earlier try had done so.

        :raises EventNotTakenError: the instance has ended; or it may have been sent before, which only a clear repeats.
        """
        earlier, record = self.earlier(), self._new_record(None)
        if earlier is not None and (earlier.stage, earlier.generation) == (None, record.generation):
            if earlier.phase == "sent":
                self.log.warning("an earlier try has sent event %r; it is not sent again", self.event)
                return True
            if earlier.phase == "found":
                raise self._may_have_arrived("an earlier try was cut short while it was sent")
        until = time.time() + self.confirm_timeout
        while True:
            self._fence(record, record)
            try:
                self.client.send_event(self.instance_id, self.event, retries=0)
            except OutcomeUnknownError as error:
                raise self._may_have_arrived(str(error)) from error
            except InstanceEndedError as error:
                raise EventNotTakenError(
                    f"event {self.event!r} was not taken, instance {self.instance_id} has ended",
                    instance_id=self.instance_id,
                    details=wrapped(error),
                ) from error
            except FlowsApiError as error:
                self._write_refused(record)
                if not isinstance(error, ServerTroubleError) or time.time() >= until:
                    raise
                self._pause_after(error, until)
            else:
                self._store.write(record.but(phase="sent"))
                return False

    def send(self, stage: int) -> None:
        """
        Send the event to a stage that waits for it, and return when the stage has taken it.

        :param stage: from 0.
        :raises EventNotTakenError: it was not taken, or nobody knows, and it is not sent again.
        """
        self._send(self._new_record(stage), stage)

    def see_taken(self, record: EventRecord, stage: int) -> None:
        """Return when the stage has ended; where it does not, send once more if no other stage could take it."""
        if record.phase == "missed":
            raise self._not_taken(stage, "an earlier try was too late for it")
        self._store.write(record)
        within = self.confirm_timeout if record.phase == "sent" else min(_LOST_AFTER, self.confirm_timeout)
        until = time.time() + within
        while True:
            instance, outcome = self._read()
            took = took_event(instance, outcome, stage)
            if took is False:
                raise self._not_taken(stage, "the run was asked to cancel, and ended when the event came")
            if took or (stage_ended(instance, stage) and time.time() >= until):
                self._store.write(record.but(phase="taken"))
                self.log.info("%s took event %r", self._label(stage), self.event)
                return
            if stage_ended(instance, stage):
                self.pause(_SHORT_PAUSE)
                continue
            if outcome.ended or current_stage(instance) != stage:
                raise self._not_taken(stage, f"it is not at that stage any more, the instance is {outcome.state}")
            if time.time() >= until:
                break
            self.pause(_SHORT_PAUSE)
        if stages_to_come(instance, stage, self.event):
            raise self._not_taken(stage, "a later stage waits for the same name and could take a repeated one")
        if record.times >= _TIMES:
            raise self._not_taken(stage, f"it still waits after {record.times} times")
        self.log.warning("%s still waits; sending event %r once more", self._label(stage), self.event)
        self._send(record, stage)

    def _send(self, record: EventRecord, stage: int) -> None:
        """Send it until it is proven that it arrived or that it did not; `record` is of the times before."""
        sending = record.but(phase="found", times=record.times + 1)
        until = time.time() + self.confirm_timeout
        while True:
            if self._taken_meanwhile(record, stage):
                return self.see_taken(record, stage)
            self._fence(record, sending)
            try:
                # Not the client's retries: the stage is looked at before each.
                self.client.send_event(self.instance_id, self.event, retries=0)
            except (NotFoundError, ServerTroubleError) as error:
                # Proven not taken: the stage does not listen yet (seen within half a second of its start), no
                # connection, or 429.
                self._write_refused(record)
                if time.time() >= until:
                    raise FormanceError(
                        f"{self._label(stage)} did not get the event within {in_words(self.confirm_timeout)}; it was "
                        "not sent",
                        details=wrapped(error),
                    ) from error
                self._pause_after(error, until)
            except InstanceEndedError as error:
                self._write_refused(record)
                if self._taken_meanwhile(record, stage):
                    return self.see_taken(record, stage)
                raise self._not_taken(stage, f"the instance has ended: {error}") from error
            except OutcomeUnknownError as error:
                tell(self.log.error, f"whether the event arrived is not known, looking whether it was taken: {error}")
                return self.see_taken(sending.but(phase="unknown"), stage)
            except FlowsApiError:
                self._write_refused(record)
                raise
            else:
                return self.see_taken(sending.but(phase="sent"), stage)

    def _taken_meanwhile(self, record: EventRecord, stage: int) -> bool:
        """
        Look once more before each POST, and tell whether one that was sent before has been taken after all.

        :raises EventNotTakenError: the stage waits no more (another sender was quicker while this task was queued or
            paused), and a later one of the same name would take the event.
        """
        instance, outcome = self._read()
        if record.times and stage_ended(instance, stage):
            return True
        if outcome.ended or current_stage(instance) != stage:
            if not record.times:
                self._store.write(record.but(phase="missed"))
            raise self._not_taken(stage, f"it is not at that stage any more, the instance is {outcome.state}")
        return False

    def _read(self) -> tuple[Instance, Outcome]:
        instance, outcome = read_instance(self.client, self.instance_id)
        self._stages = len(stages_of(instance.workflow))
        return instance, outcome

    def _pause_after(self, error: FlowsApiError, until: float) -> None:
        self.pause(max(_SHORT_PAUSE, min(error.retry_after or 0.0, until - time.time())))

    def _fence(self, before: EventRecord, sending: EventRecord) -> None:
        """Write that it is being sent: a stale execution is refused here, and stops, as does one that is told to."""
        self._store.write(sending)
        if self.told_to_stop():
            self._write_refused(before)
            raise StoppedError("this task was told to stop before it sent the event; nothing was sent")

    def _write_refused(self, record: EventRecord) -> None:
        """Write down that it is proven that nothing arrived: the next try begins anew, unless one was sent before."""
        self._store.write(record.but(phase="unknown" if record.times else "refused"))

    def _new_record(self, stage: int | None) -> EventRecord:
        generation = self.context["ti"].max_tries
        return EventRecord(
            instance_id=self.instance_id, event=self.event, stage=stage, phase="found", generation=generation
        )

    def _may_have_arrived(self, why: str) -> EventNotTakenError:
        return EventNotTakenError(
            f"whether event {self.event!r} reached instance {self.instance_id} is not known",
            instance_id=self.instance_id,
            details=(
                *wrapped(why),
                "it is not sent again by itself: look at the instance, and clear the task to send it again",
            ),
        )

    def _not_taken(self, stage: int, why: str) -> EventNotTakenError:
        return EventNotTakenError(
            f"as far as is known {self._label(stage)} of instance {self.instance_id} has not taken event "
            f"{self.event!r}",
            instance_id=self.instance_id,
            details=(
                *wrapped(f"the event is not sent again: {why}"),
                "look at the instance; if the event is needed, send it by a new DAG run",
            ),
        )

    def _label(self, stage: int) -> str:
        return stage_number(stage, self._stages)
