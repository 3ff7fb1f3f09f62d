"""SendEventOperator: send an event to the stage that waits for it, once, and see that it was taken."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_orchestration.exceptions import (
    EventNotTakenError,
    FlowsApiError,
    FormanceError,
    InstanceEndedError,
    NotFoundError,
    OutcomeUnknownError,
)
from airflow_provider_orchestration.operators.base import FormanceOperator, positive_seconds
from airflow_provider_orchestration.run.failing import task_failures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_orchestration.run.record import EventRecord
    from airflow_provider_orchestration.run.watch import Limits, Verdict

#: Seconds between two looks whether a stage that was sent its event has taken it, or has begun to listen.
_SHORT_PAUSE = 1.0
#: Seconds after which an event whose answer was lost counts as not arrived, if the stage still waits.
_LOST_AFTER = 10.0
#: How often an event is sent at the most, where a repeated one can do no harm.
_TIMES = 2


class SendEventOperator(FormanceOperator):
    """
    Sends an event to a waiting instance: waits until a stage waits for it, sends it, and sees that it was taken.

    Flows loses an event that no stage is listening for, and answers 204 all the same; so nothing is sent before, and
    only the end of that very stage is success. What was taken is not sent again by a retry or a clear, and a later
    stage that waits for the same name never gets an event that was repeated.

    XCom: the return value is a dict of ``instance_id``, ``event``, ``stage`` (from 0), ``confirmed``, ``taken_over``.

    :param instance_id: the instance (templated), e.g. ``"{{ ti.xcom_pull('pay', key='instance_id') }}"``.
    :param event: the event's name (templated).
    :param confirm: False just sends, at once: no waiting, no confirmation. Default True.
    :param wait_timeout: seconds to wait for the stage, counted anew by each try. Default None: until the instance ends.
    :param confirm_timeout: seconds to wait until the stage that was sent the event has ended. Default 60.
    :param poll_interval: seconds between two looks while it waits for the stage. Default 10.
    :param deferrable: wait for the stage in the triggerer. Default ``[operators] default_deferrable``.
    :param formance_conn_id: the Airflow connection. Default ``formance_default``.
    """

    template_fields: Sequence[str] = ("instance_id", "event", "formance_conn_id")
    ui_color = "#fdf3d8"

    def __init__(
        self,
        *,
        instance_id: str,
        event: str,
        confirm: bool = True,
        wait_timeout: float | None = None,
        confirm_timeout: float = 60.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.event = event
        self.confirm = confirm
        self.wait_timeout = positive_seconds("wait_timeout", wait_timeout)
        self.confirm_timeout = positive_seconds("confirm_timeout", confirm_timeout, optional=False) or 60.0

    def execute(self, context: Context) -> dict[str, Any]:
        """Send the event, or see what became of the one that an earlier try sent."""
        from airflow_provider_orchestration.api.inputs import check_id, check_text

        with task_failures():
            check_id("instance_id", self.instance_id)
            check_text("event", self.event)
            if not self.confirm:
                return self._just_send()
            record = self._read_record(context)
            if record is None or record.phase == "refused":
                return self._wait_for_stage(context)
            if record.phase == "taken":
                self.log.warning(
                    "stage %d has already taken event %r; it is not sent again", record.stage + 1, self.event
                )
                return self._result(record.stage, taken_over=True)
            self.log.warning(
                "an earlier try may have sent event %r to stage %d; looking first", self.event, record.stage + 1
            )
            return self._see_taken(record, context, taken_over=True)

    def execute_at_stage(self, context: Context, event: object = None) -> dict[str, Any]:
        """Go on after the triggerer has waited for the stage."""
        from airflow_provider_orchestration.run.watch import Verdict

        with task_failures():
            return self._at_stage(Verdict.from_event(event, self.instance_id), context)

    def _just_send(self) -> dict[str, Any]:
        try:
            self.client.send_event(self.instance_id, self.event)
        except InstanceEndedError as error:
            raise EventNotTakenError(
                f"event {self.event!r} was not taken, the instance has ended: {error}", instance_id=self.instance_id
            ) from error
        except OutcomeUnknownError as error:
            raise EventNotTakenError(
                f"whether event {self.event!r} reached instance {self.instance_id} is not known: {error}. It is not "
                "sent again by itself.",
                instance_id=self.instance_id,
            ) from error
        self.log.info(
            "event %r was sent to instance %s; whether a stage takes it was not asked", self.event, self.instance_id
        )
        return {**self._result(None), "confirmed": False}

    def _wait_for_stage(self, context: Context) -> dict[str, Any]:
        from airflow_provider_orchestration.run.event import EventWatch
        from airflow_provider_orchestration.run.waiting import wait_for_verdict

        limits: Limits = {
            "deadline": None if self.wait_timeout is None else time.time() + self.wait_timeout,
            "not_found_after": 3,
        }
        if self.deferrable:
            self._defer_to_stage(limits)
        watch = EventWatch(self.instance_id, self.log, event=self.event, **limits)
        verdict = wait_for_verdict(self.client, watch, self.poll_interval, lambda seconds: self.pause(seconds, context))
        return self._at_stage(verdict, context)

    def _defer_to_stage(self, limits: Limits) -> NoReturn:
        from airflow_provider_orchestration.triggers.instance import EventStageTrigger

        try:
            workflow_id = self.client.get_instance(self.instance_id).workflow_id
        except FlowsApiError as error:
            # The triggerer bears it as well as it can be borne; all that is lost is that its looks are shared.
            self.log.warning("instance %s cannot be read: %s", self.instance_id, error)
            workflow_id = None
        self.defer(
            trigger=EventStageTrigger(
                event=self.event,
                formance_conn_id=self.formance_conn_id,
                instance_id=self.instance_id,
                workflow_id=workflow_id,
                poll_interval=self.poll_interval,
                **limits,
            ),
            method_name="execute_at_stage",
        )

    def _at_stage(self, verdict: Verdict, context: Context) -> dict[str, Any]:
        from airflow_provider_orchestration.run.record import EventRecord

        why = {
            "ready": None,
            "deadline": f"within {self.wait_timeout} s no stage waited for it",
            "not_found": f"there is no such instance: {verdict.error}",
        }.get(verdict.verdict, verdict.error or verdict.verdict)
        if why is not None or verdict.stage is None:
            raise EventNotTakenError(
                f"event {self.event!r} was not sent to instance {self.instance_id}: {why}", instance_id=self.instance_id
            )
        record = EventRecord(instance_id=self.instance_id, event=self.event, stage=verdict.stage, phase="found")
        return self._send(record, context)

    def _send(self, record: EventRecord, context: Context) -> dict[str, Any]:
        """Write down which stage is to take the event, send it, and see that it was taken."""
        until = time.time() + self.confirm_timeout
        while True:
            self._write(record, context)
            try:
                self.client.send_event(self.instance_id, self.event)
            except NotFoundError as error:
                # The stage has begun, but does not listen yet (seen within half a second): proven not taken.
                if time.time() >= until:
                    self._write_refused(record, context)
                    raise FormanceError(
                        f"stage {record.stage + 1} does not listen: {error}; the event was not sent"
                    ) from error
                self.pause(_SHORT_PAUSE, context)
            except InstanceEndedError as error:
                raise self._not_taken(record, f"the instance has ended: {error}") from error
            except OutcomeUnknownError as error:
                self.log.error("whether the event arrived is not known: %s; looking whether the stage takes it", error)
                return self._see_taken(record.but(phase="unknown", times=record.times + 1), context)
            except FlowsApiError:
                self._write_refused(record, context)
                raise
            else:
                return self._see_taken(record.but(phase="sent", times=record.times + 1), context)

    def _write_refused(self, record: EventRecord, context: Context) -> None:
        """Write down that it is proven that nothing arrived: the next try begins anew, unless one was sent before."""
        self._write(record.but(phase="unknown" if record.times else "refused"), context)

    def _see_taken(self, record: EventRecord, context: Context, *, taken_over: bool = False) -> dict[str, Any]:
        """Look whether the stage ends; where it does not, send once more if no other stage could take it."""
        from airflow_provider_orchestration.run.ending import read_instance
        from airflow_provider_orchestration.run.event import stage_ended, stages_to_come
        from airflow_provider_orchestration.run.progress import current_stage

        self._write(record, context)
        until = time.time() + (
            self.confirm_timeout if record.phase == "sent" else min(_LOST_AFTER, self.confirm_timeout)
        )
        while True:
            instance, outcome = read_instance(self.client, self.instance_id)
            if stage_ended(instance, record.stage):
                self._write(record.but(phase="taken"), context)
                self.log.info("stage %d took event %r", record.stage + 1, self.event)
                return self._result(record.stage, taken_over=taken_over)
            if outcome.ended or current_stage(instance) != record.stage:
                raise self._not_taken(record, f"it is not at that stage any more, the instance is {outcome.state}")
            if time.time() >= until:
                break
            self.pause(_SHORT_PAUSE, context)
        if stages_to_come(instance, record.stage, self.event):
            raise self._not_taken(record, "a later stage waits for the same name and could take a repeated one")
        if record.times >= _TIMES:
            raise self._not_taken(record, f"it still waits after {record.times} times")
        self.log.warning("stage %d still waits; sending event %r once more", record.stage + 1, self.event)
        return self._send(record.but(phase="found"), context)

    def _not_taken(self, record: EventRecord, why: str) -> EventNotTakenError:
        return EventNotTakenError(
            f"as far as is known stage {record.stage + 1} of instance {self.instance_id} has not taken event "
            f"{self.event!r}, and it is not sent again: {why}. Look at it; if the event is needed, send it by "
            "a new DAG run.",
            instance_id=self.instance_id,
        )

    def _read_record(self, context: Context) -> EventRecord | None:
        from airflow_provider_orchestration.run.record import EventRecord, RecordStore

        record = RecordStore(context).read(EventRecord)
        if record is not None and (record.instance_id, record.event) != (self.instance_id, self.event):
            self.log.info(
                "an earlier execution sent %r to instance %s; this is another event", record.event, record.instance_id
            )
            return None
        return record

    def _write(self, record: EventRecord, context: Context) -> None:
        from airflow_provider_orchestration.run.record import RecordStore

        RecordStore(context).write(record)

    def _result(self, stage: int | None, *, taken_over: bool = False) -> dict[str, Any]:
        return {
            "instance_id": self.instance_id,
            "event": self.event,
            "stage": stage,
            "confirmed": stage is not None,
            "taken_over": taken_over,
        }
