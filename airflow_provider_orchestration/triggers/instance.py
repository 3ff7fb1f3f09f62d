"""What one deferred task waits for: the end of an instance, or proof that its submission arrived."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_orchestration.run.wait.watch import Verdict, Watch


class _FormanceTrigger(BaseTrigger):
    """
    A trigger whose arguments, all ids, names, numbers and epoch seconds, are its attributes, and are serialised.

    :param nonce: of the deferral, which the event carries, so that the task knows its own (``run.submit.door``).
    """

    _names: ClassVar[tuple[str, ...]] = ()
    nonce: str

    def __init__(self, *, nonce: str = "", **arguments: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Once for the class: thousands of triggers wait in one process.
        type(self)._names = ("nonce", *arguments)
        self.__dict__.update(arguments, nonce=nonce)

    def _event(self, payload: dict[str, Any]) -> TriggerEvent:
        return TriggerEvent({**payload, "nonce": self.nonce})  # type: ignore[no-untyped-call]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        arguments = {name: self.__dict__[name] for name in self._names}
        return f"{type(self).__module__}.{type(self).__name__}", arguments


class InstanceEndTrigger(_FormanceTrigger):
    """
    Waits until the looks at one instance end in a verdict, and yields exactly one event: that verdict.

    The event is a hint where to look, not the truth: the resumed task reads the instance itself. Arguments are ids,
    numbers and epoch seconds only.

    :param formance_conn_id: the Airflow connection.
    :param instance_id: the instance to wait for.
    :param workflow_id: its workflow, so that all who wait for the same one share a request; None if it is not known.
    :param poll_interval: seconds between two looks.
    :param deadline: epoch seconds after which it gives up; None never. (A deadline of our own: Airflow's timeout of a
        trigger resumes nobody.)
    :param poll_failure_timeout: seconds without a successful look after which it gives up; None never.
    :param fail_after_attempts: failed attempts of one stage after which it gives up; None never.
    :param not_found_after: answers "no such instance" in a row after which it gives up; None never.
    :param cancel_on_kill: ask for a cancel when a person marks the task failed.
    :param exponential_backoff: double the interval after each look.
    :param longest_interval: seconds that the interval grows to at the most; None without end.
    """

    formance_conn_id: str
    instance_id: str
    workflow_id: str | None
    poll_interval: float
    deadline: float | None
    exponential_backoff: bool
    longest_interval: float | None
    cancel_on_kill: bool
    _limits: tuple[str, ...] = ("deadline", "poll_failure_timeout", "fail_after_attempts", "not_found_after")

    def __init__(
        self,
        *,
        formance_conn_id: str,
        instance_id: str,
        workflow_id: str | None,
        poll_interval: float,
        deadline: float | None = None,
        poll_failure_timeout: float | None = None,
        fail_after_attempts: int | None = None,
        not_found_after: int | None = None,
        cancel_on_kill: bool = False,
        exponential_backoff: bool = False,
        longest_interval: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            formance_conn_id=formance_conn_id,
            instance_id=instance_id,
            workflow_id=workflow_id,
            poll_interval=poll_interval,
            deadline=deadline,
            poll_failure_timeout=poll_failure_timeout,
            fail_after_attempts=fail_after_attempts,
            not_found_after=not_found_after,
            cancel_on_kill=cancel_on_kill,
            exponential_backoff=exponential_backoff,
            longest_interval=longest_interval,
            **more,
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        verdict = await self._verdict()
        yield self._event(verdict.as_event())

    async def _verdict(self) -> Verdict:
        from airflow_provider_orchestration.run.wait.pollers import poller_for
        from airflow_provider_orchestration.run.wait.waiters import Interval
        from airflow_provider_orchestration.run.wait.watch import Verdict

        try:
            async with asyncio.timeout(None if self.deadline is None else max(0.0, self.deadline - time.time())):
                interval = Interval(self.poll_interval, self.exponential_backoff, self.longest_interval)
                return await poller_for(self.formance_conn_id).wait(self._watch(), self.workflow_id, interval)
        except TimeoutError:
            return Verdict("deadline", self.instance_id)

    def _watch(self) -> Watch:
        from airflow_provider_orchestration.run.wait.watch import Watch

        return Watch(self.instance_id, self.log, **{name: self.__dict__[name] for name in self._limits})

    async def on_kill(self) -> None:
        """
        Ask for a cancel if the task was marked failed, and the operator wants it so.

        Airflow calls this also when it takes a stalled triggerer's triggers away, and after a clear whose new execution
        has taken the instance over: the task's state, read now, tells.
        """
        if not self.cancel_on_kill or self.task_instance is None:
            return
        from airflow_provider_orchestration.run.wait.kill import cancel_if_marked_failed
        from airflow_provider_orchestration.run.wait.pollers import poller_for

        poller = poller_for(self.formance_conn_id)
        # In this task's context, or its log would not hold what was seen.
        context = contextvars.copy_context()
        await poller.call(
            lambda client: context.run(
                cancel_if_marked_failed, self.task_instance, client, self.instance_id, self.log, poller.pulse
            )
        )


class EventStageTrigger(InstanceEndTrigger):
    """
    Waits until a stage of the instance waits for an event, or none ever will; yields one event, that verdict.

    :param event: the name of the event; the other parameters are those of :class:`InstanceEndTrigger`.
    """

    event: str

    def __init__(self, *, event: str, **arguments: Any) -> None:
        super().__init__(event=event, **arguments)

    def _watch(self) -> Watch:
        from airflow_provider_orchestration.run.event.stage import EventWatch

        limits = {name: self.__dict__[name] for name in self._limits}
        return EventWatch(self.instance_id, self.log, event=self.event, **limits)


class RecoveryTrigger(_FormanceTrigger):
    """
    Looks for the instance of a submission whose answer was lost, by its run key, until it is found or time is up.

    Yields exactly one event: ``{"found": instance id or None, "run_key": ..., "nonce": ...}``.

    :param formance_conn_id: the Airflow connection.
    :param workflow_id: the workflow that was run.
    :param run_key: the key that the instance's first stage shows.
    :param since: epoch seconds of the server's clock, before which the instance cannot have been created.
    :param until: epoch seconds after which it gives up.
    :param poll_interval: seconds between two looks.
    """

    formance_conn_id: str
    workflow_id: str
    run_key: str
    since: float
    until: float
    poll_interval: float

    def __init__(
        self,
        *,
        formance_conn_id: str,
        workflow_id: str,
        run_key: str,
        since: float,
        until: float,
        poll_interval: float,
        **more: Any,
    ) -> None:
        super().__init__(
            formance_conn_id=formance_conn_id,
            workflow_id=workflow_id,
            run_key=run_key,
            since=since,
            until=until,
            poll_interval=poll_interval,
            **more,
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        from airflow_provider_orchestration.run.submit.recovery import Search
        from airflow_provider_orchestration.run.wait.pollers import poller_for

        search = Search(self.workflow_id, self.run_key, self.since, self.log)
        found = await poller_for(self.formance_conn_id).find(search, self.until, self.poll_interval)
        yield self._event({"found": found, "run_key": self.run_key})
