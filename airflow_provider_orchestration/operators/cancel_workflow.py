"""CancelWorkflowOperator: ask Flows to cancel an instance, and look whether it does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_orchestration.exceptions import CancelIgnoredError
from airflow_provider_orchestration.operators.base import FormanceOperator
from airflow_provider_orchestration.run.durations import Duration, seconds_of
from airflow_provider_orchestration.run.judge.failing import task_failures
from airflow_provider_orchestration.run.words import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.run.judge.outcome import Outcome


class CancelWorkflowOperator(FormanceOperator):
    """
    Asks Flows to cancel an instance, then looks for a bounded time whether it ends.

    Cancelling is a request: the known servers answer 204 and the instance goes on (flows-api, "What bites", 5). The
    task then fails without a retry and says that the instance must be ended in the engine. Cancelling what has ended
    succeeds, and tells how it had ended.

    XCom: the return value is a dict as that of :class:`RunWorkflowOperator`, and ``cancel_asked``.

    :param instance_id: the instance (templated).
    :param cancel_timeout: duration for which it looks whether the instance ends. Default 60 s.
    :param on_ignored: ``"fail"`` (default), or ``"warn"`` to end green with a warning where the instance goes on.
    :param poll_interval: duration between two looks. Default 5 s.
    :param deferrable: look in the triggerer. Default ``[operators] default_deferrable``.
    :param formance_conn_id: the Airflow connection. Default ``formance_default``.
    :raises ValueError: an argument is not possible.
    :raises AirflowFailException: when it runs: the instance goes on, with ``on_ignored="fail"``
        (:class:`CancelIgnoredError`), or ``instance_id`` is no id (:class:`InvalidInputError`).
    :raises FlowsApiError: when it runs: Flows cannot be asked, or knows no such instance; Airflow's retry asks again.
    """

    template_fields: Sequence[str] = ("instance_id", "formance_conn_id")
    ui_color = "#fbe4e4"
    ends_waiting = "cancel_timeout"

    def __init__(
        self,
        *,
        instance_id: str,
        cancel_timeout: Duration = 60.0,
        on_ignored: str = "fail",
        poll_interval: Duration | None = 5.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(poll_interval=poll_interval, **kwargs)
        if on_ignored not in ("fail", "warn"):
            raise ValueError(f'on_ignored must be "fail" or "warn", not {on_ignored!r}')
        self.instance_id = instance_id
        self.cancel_timeout = seconds_of("cancel_timeout", cancel_timeout)
        self.on_ignored = on_ignored

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask, and look."""
        from airflow_provider_orchestration.api.inputs import check_id
        from airflow_provider_orchestration.run.judge.reading import read_instance
        from airflow_provider_orchestration.run.wait.cancel import ask_to_cancel

        with task_failures(self.log):
            check_id("instance_id", self.instance_id)
            instance, outcome = read_instance(self.client, self.instance_id)
            if outcome.ended:
                self.log.info("instance %s had already ended: %s", self.instance_id, outcome.state)
                return self._result(instance, outcome, cancel_asked=False)
            if self.deferrable:
                self._ask_and_defer(instance.workflow_id, context)
            instance, outcome = ask_to_cancel(
                self.client,
                self.instance_id,
                self.log,
                timeout=self.cancel_timeout,
                poll_interval=self.poll_interval,
                pause=lambda seconds: self.pause(seconds, context),
            )
            return self._judge(instance, outcome, context)

    def _ask_and_defer(self, workflow_id: str, context: Context) -> NoReturn:
        from airflow_provider_orchestration.triggers.instance import InstanceEndTrigger

        self.client.cancel_event(self.instance_id)
        self.log.info("asked Flows to cancel instance %s", self.instance_id)
        self.wait_in_triggerer(
            context,
            InstanceEndTrigger(
                formance_conn_id=self.formance_conn_id,
                instance_id=self.instance_id,
                workflow_id=workflow_id,
                poll_interval=self.poll_interval,
                deadline=time.time() + self.cancel_timeout,
            ),
            "execute_complete",
        )

    def execute_complete(self, context: Context, event: object = None) -> dict[str, Any]:
        """Go on after the triggerer has looked; what the instance itself says now counts."""
        from airflow_provider_orchestration.run.judge.outcome import Outcome, State
        from airflow_provider_orchestration.run.judge.reading import read_instance
        from airflow_provider_orchestration.run.wait.watch import Verdict

        with task_failures(self.log):
            verdict = Verdict.from_event(event, self.instance_id)
            instance, outcome = read_instance(self.client, self.instance_id)
            if verdict.verdict == "dead" and not outcome.ended:
                outcome = Outcome(State.DEAD, verdict.stage, verdict.error)
            return self._judge(instance, outcome, context)

    def _judge(self, instance: Instance, outcome: Outcome, context: Context) -> dict[str, Any]:
        from airflow_provider_orchestration.run.event.stage import ways_to_stop
        from airflow_provider_orchestration.run.judge.death import DEAD, is_terminated_in_engine

        if not outcome.ended and is_terminated_in_engine(
            self.client, instance, self.log, lambda seconds: self.pause(seconds, context)
        ):
            # A person may have ended it there, as the error below asks for.
            outcome = DEAD
        if outcome.ended:
            self.log.info("instance %s has ended: %s", self.instance_id, outcome.state)
        else:
            ignored = CancelIgnoredError(
                f"Flows accepted the request to cancel instance {self.instance_id}, but it still ran "
                f"{in_words(self.cancel_timeout)} later",
                instance_id=self.instance_id,
                details=ways_to_stop(instance),
            )
            if self.on_ignored == "fail":
                raise ignored
            for line in (str(ignored), *ignored.details):
                self.log.warning("%s", line)
        return self._result(instance, outcome, cancel_asked=True)

    def _result(self, instance: Instance, outcome: Outcome, *, cancel_asked: bool) -> dict[str, Any]:
        from airflow_provider_orchestration.run.judge.result import result_of

        return {**result_of(instance, outcome), "cancel_asked": cancel_asked}
