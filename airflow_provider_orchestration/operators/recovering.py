"""What the run operator does about a submission whose answer was lost: look for its instance by the run key."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import FormanceError
from airflow_provider_orchestration.operators.base import FormanceOperator
from airflow_provider_orchestration.run.judge.failing import task_failures
from airflow_provider_orchestration.run.words import in_words

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_orchestration.run.submit.again import Step
    from airflow_provider_orchestration.run.submit.recovery import Search
    from airflow_provider_orchestration.run.submit.submission import TaskRun

#: Seconds that the last look may take.
_LAST_LOOK = 30.0


class RecoversRuns(FormanceOperator):
    """The part of :class:`~.run_workflow.RunWorkflowOperator` that finds a run again."""

    recovery_timeout: float

    @abstractmethod
    def _task_run(self, context: Context) -> TaskRun:
        """Return the run of this task."""

    @abstractmethod
    def _follow(self, run: TaskRun, step: Step, context: Context) -> dict[str, Any]:
        """Go on from what was done first."""

    def execute_recovery(self, context: Context, event: object = None) -> dict[str, Any]:
        """Go on after the triggerer has looked for the instance of a submission whose answer was lost."""
        with task_failures(self.log):
            run = self._task_run(context)
            run.resume()
            if not isinstance(event, dict) or event.get("run_key") != run.record.run_key:
                raise FormanceError(
                    f"the trigger that looked for run key {run.record.run_key} came back with {event!r}"
                )
            return self._found(run, event.get("found"), context)

    def _recover(self, run: TaskRun, context: Context) -> dict[str, Any]:
        """Look for the instance of a submission of which nothing is known, where looking can prove anything."""
        if not run.record.recoverable:
            return self._found(run, None, context)
        search = run.search()
        until = time.time() + self.recovery_timeout
        self.log.warning(
            "looking for up to %s for the run that may have been submitted", in_words(self.recovery_timeout)
        )
        if self.deferrable:
            from airflow_provider_orchestration.triggers.instance import RecoveryTrigger

            self.wait_in_triggerer(
                context,
                RecoveryTrigger(
                    formance_conn_id=self.formance_conn_id,
                    workflow_id=search.workflow_id,
                    run_key=search.run_key,
                    since=search.since,
                    until=until,
                    poll_interval=self.poll_interval,
                ),
                "execute_recovery",
            )
        while (found := self._look_for(search, until)) is None and time.time() < until:
            wait = max(self.poll_interval, search.retry_after)
            self.pause(min(wait, max(0.0, until - time.time())), context)
        return self._found(run, found, context)

    def _look_for(self, search: Search, until: float) -> str | None:
        """Look once, until an epoch second, with the connection as it is; one that cannot be read is a failed look."""
        from airflow_provider_orchestration.run.submit.recovery import not_scanned
        from airflow_provider_orchestration.run.wait.in_worker import call_renewed

        self.hook.get_conn()  # one that never could be read is no look: the task fails, with a retry
        try:
            return call_renewed(self.hook, lambda client: search.look(client, until))
        except FormanceError as error:
            return search.take(not_scanned(error))

    def _found(self, run: TaskRun, instance_id: str | None, context: Context) -> dict[str, Any]:
        if instance_id is None:
            # One look more: that of the triggerer may be minutes ago, and where none can prove anything, a person needs
            # the candidates.
            search = run.search()
            until = time.time() + min(self.recovery_timeout, _LAST_LOOK)
            if (instance_id := self._look_for(search, until)) is None:
                raise run.give_up(search)
        return self._follow(run, run.recovered(instance_id), context)
