"""SendEventOperator: send an event to the stage that waits for it, once, and see that it was taken."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_orchestration.exceptions import EventNotTakenError, FlowsApiError
from airflow_provider_orchestration.operators.base import FormanceOperator
from airflow_provider_orchestration.run.durations import Duration, seconds_of, seconds_or_none
from airflow_provider_orchestration.run.judge.failing import task_failures
from airflow_provider_orchestration.run.words import in_words, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_orchestration.run.event.sending import EventSending
    from airflow_provider_orchestration.run.wait.watch import Limits, Verdict


class SendEventOperator(FormanceOperator):
    """
    Sends an event to a waiting instance: waits until a stage waits for it, sends it, and sees that it was taken.

    Flows loses an event that no stage is listening for, and answers 204 all the same; so nothing is sent before, and
    only the end of that very stage is success. What was taken is not sent again by a retry or a clear, and a later
    stage that waits for the same name never gets an event that was repeated.

    Whose event a stage took, Flows does not tell: where two send the same one to the same stage at the same moment,
    both see it taken. So let one task send it.

    XCom: the return value is a dict of ``instance_id``, ``event``, ``stage`` (from 0), ``confirmed``, ``taken_over``.

    :param instance_id: the instance (templated), e.g. ``"{{ ti.xcom_pull('pay', key='instance_id') }}"``.
    :param event: the event's name (templated).
    :param confirm: False just sends, at once: no waiting, no confirmation. A retry does not send again what may have
        been sent, a clear does. Default True.
    :param wait_timeout: duration to wait for the stage, counted anew by each try. Default None: until the instance
        ends.
    :param confirm_timeout: duration to wait until the stage that was sent the event has ended. Default 60 s.
    :param poll_interval: duration between two looks while it waits for the stage. Default 10 s.
    :param deferrable: wait for the stage in the triggerer. Default ``[operators] default_deferrable``.
    :param formance_conn_id: the Airflow connection. Default ``formance_default``.
    """

    template_fields: Sequence[str] = ("instance_id", "event", "formance_conn_id")
    ui_color = "#fdf3d8"
    ends_waiting = "wait_timeout"

    def __init__(
        self,
        *,
        instance_id: str,
        event: str,
        confirm: bool = True,
        wait_timeout: Duration | None = None,
        confirm_timeout: Duration = 60.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.event = event
        self.confirm = confirm
        self.wait_timeout = seconds_or_none("wait_timeout", wait_timeout)
        self.confirm_timeout = seconds_of("confirm_timeout", confirm_timeout)

    def execute(self, context: Context) -> dict[str, Any]:
        """Send the event, or see what became of the one that an earlier try sent."""
        from airflow_provider_orchestration.api.inputs import check_id, check_text
        from airflow_provider_orchestration.run.judge.stages import stage_number

        with task_failures(self.log):
            check_id("instance_id", self.instance_id)
            check_text("event", self.event)
            sending = self._sending(context)
            if not self.confirm:
                taken_over = sending.send_unconfirmed()
                self.log.info("instance %s was sent event %r; nobody looks who takes it", self.instance_id, self.event)
                return self._result(None, taken_over=taken_over)
            record = sending.earlier()
            if record is None or record.stage is None or record.phase == "refused":
                return self._wait_for_stage(context)
            stage, at = record.stage, stage_number(record.stage, None)
            if record.phase == "taken":
                self.log.warning("%s has already taken event %r; it is not sent again", at, self.event)
            else:
                self.log.warning("an earlier try may have sent event %r to %s; looking", self.event, at)
                sending.see_taken(record, stage)
            return self._result(stage, taken_over=True)

    def execute_at_stage(self, context: Context, event: object = None) -> dict[str, Any]:
        """Go on after the triggerer has waited for the stage."""
        from airflow_provider_orchestration.run.wait.watch import Verdict

        with task_failures(self.log):
            return self._at_stage(Verdict.from_event(event, self.instance_id), context)

    def _sending(self, context: Context) -> EventSending:
        from airflow_provider_orchestration.run.event.sending import EventSending

        return EventSending(
            context,
            self.client,
            self.instance_id,
            self.event,
            self.log,
            pause=lambda seconds: self.pause(seconds, context),
            told_to_stop=lambda: self._told_to_stop,
            confirm_timeout=self.confirm_timeout,
        )

    def _wait_for_stage(self, context: Context) -> dict[str, Any]:
        from airflow_provider_orchestration.run.event.stage import EventWatch
        from airflow_provider_orchestration.run.wait.in_worker import wait_for_verdict

        limits: Limits = {
            "deadline": None if self.wait_timeout is None else time.time() + self.wait_timeout,
            "not_found_after": 3,
        }
        if self.deferrable:
            self._defer_to_stage(limits, context)
        watch = EventWatch(self.instance_id, self.log, event=self.event, **limits)
        verdict = wait_for_verdict(self.hook, watch, self.poll_interval, lambda seconds: self.pause(seconds, context))
        return self._at_stage(verdict, context)

    def _defer_to_stage(self, limits: Limits, context: Context) -> NoReturn:
        from airflow_provider_orchestration.triggers.instance import EventStageTrigger

        try:
            workflow_id = self.client.get_instance(self.instance_id).workflow_id
        except FlowsApiError as error:
            # The triggerer bears it as well as it can be borne; all that is lost is that its looks are shared.
            self.log.warning("instance %s cannot be read: %s", self.instance_id, error)
            workflow_id = None
        self.wait_in_triggerer(
            context,
            EventStageTrigger(
                event=self.event,
                formance_conn_id=self.formance_conn_id,
                instance_id=self.instance_id,
                workflow_id=workflow_id,
                poll_interval=self.poll_interval,
                **limits,
            ),
            "execute_at_stage",
        )

    def _at_stage(self, verdict: Verdict, context: Context) -> dict[str, Any]:
        why = {
            "ready": None,
            "deadline": f"within {in_words(self.wait_timeout or 0)} no stage waited for it",
            "not_found": f"there is no such instance: {verdict.error}",
        }.get(verdict.verdict, verdict.error or verdict.verdict)
        if why is not None or verdict.stage is None:
            raise EventNotTakenError(
                f"event {self.event!r} was not sent to instance {self.instance_id}",
                instance_id=self.instance_id,
                details=wrapped(why),
            )
        self._sending(context).send(verdict.stage)
        return self._result(verdict.stage)

    def _result(self, stage: int | None, *, taken_over: bool = False) -> dict[str, Any]:
        return {
            "instance_id": self.instance_id,
            "event": self.event,
            "stage": stage,
            "confirmed": stage is not None,
            "taken_over": taken_over,
        }
