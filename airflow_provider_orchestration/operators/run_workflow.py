"""RunWorkflowOperator: run a workflow once and wait for its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_orchestration.exceptions import FlowsApiError, FormanceError
from airflow_provider_orchestration.operators.base import check_attempts
from airflow_provider_orchestration.operators.recovering import RecoversRuns
from airflow_provider_orchestration.run.durations import Duration, seconds_of, seconds_or_none
from airflow_provider_orchestration.run.judge.failing import task_failures
from airflow_provider_orchestration.run.words import in_words, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.run.judge.outcome import Outcome
    from airflow_provider_orchestration.run.submit.again import Step
    from airflow_provider_orchestration.run.submit.submission import TaskRun
    from airflow_provider_orchestration.run.wait.watch import Limits, Verdict


#: Told from an empty text and from None, which a mapped list can give.
_NOT_GIVEN: Any = object()


class RunWorkflowOperator(RecoversRuns):
    """
    Runs a Formance Flows workflow, once per task of a DAG run whatever fails, and waits for its end.

    The task is green only if the instance is known to have succeeded. A failed instance fails the task without an
    Airflow retry, because its first stages may have moved money; a clear then submits anew. Retries are for Airflow's
    and the network's own failures, and take over the instance that is at work: two or more are recommended.

    XCom: ``instance_id`` as soon as it is known; the return value is a dict of ``instance_id``, ``workflow_id``,
    ``workflow_name``, ``state``, ``error``, ``run_key``, ``created_at``, ``terminated_at``, ``stages``,
    ``transactions`` and ``taken_over``. A posting's ``amount`` is a string where it is exact. From 2^53 on Flows rounds
    it: where definition and variables do not prove it, it is None, with ``amount_rounded`` beside it.

    :param workflow_id: the workflow by id (templated). Give this or ``workflow_name``.
    :param workflow_name: the workflow by name (templated): the newest of that name that is not deleted.
    :param variables: its variables (templated), strings or whole numbers in the asset's smallest unit.
    :param wait_for_completion: False ends the task green as soon as the run was accepted.
    :param run_timeout: duration from the submission, the same over retries, clears and deferral, after which the task
        fails without a retry while the run goes on. Default None: it waits for as long as the run takes.
    :param cancel_on_timeout: then ask Flows to cancel, and look for ``cancel_timeout`` whether it did.
    :param cancel_timeout: duration, default 60 s.
    :param cancel_on_kill: ask Flows to cancel when a person marks the task failed while it waits.
    :param run_key_name: a business identity such as an invoice number (templated), in the run key beside task id and
        map index, which are positions. After anything was submitted, a clear that gives another name is refused; a
        mapped task without one refuses any other values. One that renders to nothing is refused.
    :param recovery_timeout: duration for which a run is looked for whose submission's answer was lost. Default 600 s.
    :param poll_failure_timeout: duration without one successful look after which the task fails (with retries; the run
        goes on). Default None: failed looks are borne until the deadline.
    :param fail_after_attempts: failed attempts of one stage, which Flows would repeat without end, after which the task
        fails without a retry (the run goes on). Default None.
    :param poll_interval: duration between two looks. Default 10 s.
    :param deferrable: wait in the triggerer. Default ``[operators] default_deferrable``.
    :param formance_conn_id: the Airflow connection. Default ``formance_default``.
    :raises ValueError: an argument is not possible.
    """

    template_fields: Sequence[str] = ("workflow_id", "workflow_name", "variables", "run_key_name", "formance_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"variables": "json"}
    ui_color = "#e3f6ec"

    def __init__(
        self,
        *,
        workflow_id: str | None = None,
        workflow_name: str | None = None,
        variables: Mapping[str, Any] | None = None,
        wait_for_completion: bool = True,
        run_timeout: Duration | None = None,
        cancel_on_timeout: bool = False,
        cancel_timeout: Duration = 60.0,
        cancel_on_kill: bool = False,
        run_key_name: str | None = _NOT_GIVEN,
        recovery_timeout: Duration = 600.0,
        poll_failure_timeout: Duration | None = None,
        fail_after_attempts: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (workflow_id is None) == (workflow_name is None):
            raise ValueError(
                f"give either workflow_id or workflow_name, not {'both' if workflow_id is not None else 'neither'}"
            )
        check_attempts(fail_after_attempts)
        self.workflow_id = workflow_id
        self.workflow_name = workflow_name
        self.variables = variables
        self.wait_for_completion = wait_for_completion
        self.run_timeout = seconds_or_none("run_timeout", run_timeout)
        self.cancel_on_timeout = cancel_on_timeout
        self.cancel_timeout = seconds_of("cancel_timeout", cancel_timeout)
        self.cancel_on_kill = cancel_on_kill
        # What is serialised with the DAG must be plain.
        self.run_key_name = None if run_key_name is _NOT_GIVEN else run_key_name
        # None or "" is what a mapped list gives for a name that it does not have; elsewhere it means to give none.
        self._none_given, self._named = run_key_name is not _NOT_GIVEN and not run_key_name, bool(self.run_key_name)
        self.recovery_timeout = seconds_of("recovery_timeout", recovery_timeout)
        self.poll_failure_timeout = seconds_or_none("poll_failure_timeout", poll_failure_timeout)
        self.fail_after_attempts = fail_after_attempts
        self._waits_for: str | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit the run, or take over the one that is this task's; wait; return the result."""
        if not self.retries:
            self.log.warning(
                "retries=0: a failure of Airflow's own (a lost worker) fails this task though the run goes on; two or "
                "more retries are safe, they take the run over"
            )
        if self.wait_for_completion and self.run_timeout is None:
            self.log.warning("no run_timeout: the task waits for as long as the run takes, which may be for ever")
        with task_failures(self.log):
            run = self._task_run(context)
            return self._follow(run, run.begin(), context)

    def execute_complete(self, context: Context, event: object = None) -> dict[str, Any]:
        """Go on after the triggerer has waited for the instance's end. The event only says where to look."""
        from airflow_provider_orchestration.run.wait.watch import Verdict

        with task_failures(self.log):
            run = self._task_run(context)
            run.resume()
            return self._conclude(run, Verdict.from_event(event, run.instance_id), context)

    def told_to_stop(self, context: Context) -> bool:
        """Ask for a cancel if the task was marked failed and ``cancel_on_kill`` is set."""
        if not self.cancel_on_kill or self._waits_for is None:
            return super().told_to_stop(context)
        from airflow_provider_orchestration.run.wait.kill import cancel_if_marked_failed

        return cancel_if_marked_failed(context["ti"], self.client, self._waits_for, self.log, self._pulse)

    def _task_run(self, context: Context) -> TaskRun:
        from airflow_provider_orchestration.run.submit.again import Ask
        from airflow_provider_orchestration.run.submit.submission import TaskRun

        mapped = context["ti"].map_index >= 0  # type: ignore[operator]
        ask = Ask(
            self.workflow_id,
            self.workflow_name,
            self.variables,
            self.run_timeout,
            (None if self.run_key_name is None else str(self.run_key_name).strip()) or None,
            named=self._named or (self._none_given and mapped),
            mapped=mapped,
        )
        run = TaskRun(
            context, ask, lambda: self.client, self.log, lambda: self._told_to_stop, conn_id=self.formance_conn_id
        )
        run.resumed, run.retries = self.came_back, self.retries or 0
        return run

    def _follow(self, run: TaskRun, step: Step, context: Context) -> dict[str, Any]:
        """Go on from what was done first."""
        from airflow_provider_orchestration.run.submit.again import Step

        if step is Step.RECOVER:
            return self._recover(run, context)
        if step is Step.ALREADY_SUCCEEDED:
            return run.succeeded_before()
        if step is Step.TAKE_OVER:
            try:
                instance, outcome = self._look_whether_alive(run.instance_id, context)
            except FlowsApiError as error:
                if not self.wait_for_completion:
                    raise
                self.log.warning("instance %s cannot be read now, it is waited for: %s", run.instance_id, error)
            else:
                if outcome.ended:
                    return {**run.ended(instance, outcome), "taken_over": True}
        if not self.wait_for_completion:
            return run.started()
        return self._wait(run, context)

    def _wait(self, run: TaskRun, context: Context, *, here: bool = False) -> dict[str, Any]:
        limits: Limits = {
            "deadline": run.record.deadline,
            "poll_failure_timeout": self.poll_failure_timeout,
            "fail_after_attempts": self.fail_after_attempts,
        }
        if self.deferrable and not here:
            from airflow_provider_orchestration.triggers.instance import InstanceEndTrigger

            self.wait_in_triggerer(
                context,
                InstanceEndTrigger(
                    formance_conn_id=self.formance_conn_id,
                    instance_id=run.instance_id,
                    workflow_id=run.record.workflow_id,
                    poll_interval=self.poll_interval,
                    cancel_on_kill=self.cancel_on_kill,
                    **limits,
                ),
                "execute_complete",
            )
        from airflow_provider_orchestration.run.wait.in_worker import wait_for_verdict
        from airflow_provider_orchestration.run.wait.watch import Watch

        self._waits_for = run.instance_id
        watch = Watch(run.instance_id, self.log, **limits)
        verdict = wait_for_verdict(self.hook, watch, self.poll_interval, lambda seconds: self.pause(seconds, context))
        return self._conclude(run, verdict, context)

    def _conclude(self, run: TaskRun, verdict: Verdict, context: Context) -> dict[str, Any]:
        """Turn a verdict into the task's end. What the instance itself says goes before what the verdict says."""
        from airflow_provider_orchestration.run.event.stage import ways_to_stop
        from airflow_provider_orchestration.run.judge.outcome import Outcome, State
        from airflow_provider_orchestration.run.submit.recorded import GOES_ON
        from airflow_provider_orchestration.run.wait.watch import describe_stage

        if verdict.verdict == "deadline" and not run.past_deadline:
            self.log.warning(
                "the deadline has not come by this machine's clock; the triggerer's is ahead. Waiting here"
            )
            return self._wait(run, context, here=True)
        if verdict.verdict == "poll_failed":
            raise FormanceError(
                f"no look at instance {run.instance_id} succeeded for {in_words(self.poll_failure_timeout or 0)}",
                details=(*wrapped(f"the latest: {verdict.error}"), f"instance {run.instance_id} goes on", GOES_ON),
            )
        try:
            instance, outcome = self._last_look(run.instance_id, verdict, context)
        except FlowsApiError as error:
            if verdict.verdict != "deadline":
                # Not in the triggerer: it can read what cannot be read from here, and would come back at once.
                self.log.warning("how instance %s ended cannot be read now, waiting: %s", run.instance_id, error)
                return self._wait(run, context, here=True)
            raise run.stopped_watching(f"{run.timed_out}, and the last look failed", *wrapped(error)) from error
        if not outcome.ended and verdict.verdict == "dead":
            outcome = Outcome(State.DEAD, verdict.stage, verdict.error)
        if outcome.ended:
            return run.ended(instance, outcome)
        if verdict.verdict == "deadline":
            if not self.cancel_on_timeout:
                raise run.stopped_watching(run.timed_out)
            raise run.stopped_watching(
                f"{run.timed_out}; it was asked to cancel, and still runs", *ways_to_stop(instance)
            )
        if verdict.verdict == "stuck":
            stage = describe_stage(instance, verdict.stage)
            raise run.stopped_watching(f"{stage} failed {self.fail_after_attempts} times", *wrapped(verdict.error))
        self.log.warning("instance %s was said to have ended, but it runs; waiting again", run.instance_id)
        return self._wait(run, context)

    def _last_look(self, instance_id: str, verdict: Verdict, context: Context) -> tuple[Instance, Outcome]:
        """Read the instance after a verdict; at the deadline also ask it to cancel, where that is wanted."""
        from airflow_provider_orchestration.run.judge.reading import read_instance
        from airflow_provider_orchestration.run.wait.cancel import ask_to_cancel

        if verdict.verdict != "deadline":
            return read_instance(self.client, instance_id)
        instance, outcome = self._look_whether_alive(instance_id, context)
        if outcome.ended or not self.cancel_on_timeout:
            return instance, outcome
        return ask_to_cancel(
            self.client,
            instance_id,
            self.log,
            timeout=self.cancel_timeout,
            poll_interval=min(self.poll_interval, 5.0),
            pause=lambda seconds: self.pause(seconds, context),
        )

    def _look_whether_alive(self, instance_id: str, context: Context) -> tuple[Instance, Outcome]:
        from airflow_provider_orchestration.run.judge.death import look_whether_alive

        return look_whether_alive(self.client, instance_id, self.log, lambda seconds: self.pause(seconds, context))
