"""What a deferrable sensor waits for, and how the task ends, and may begin, without a worker."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from airflow_provider_orchestration.api.inputs import check_id
from airflow_provider_orchestration.exceptions import FlowsApiError, InstanceFailedError, InvalidInputError
from airflow_provider_orchestration.run.words import in_words
from airflow_provider_orchestration.triggers.instance import InstanceEndTrigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context
    from jinja2 import Environment

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.run.wait.watch import Look, Verdict

#: Seconds for which Airflow may take to answer, here; the first time in a fresh triggerer it takes 10.
_ANSWER = 60.0
#: Sensors of a process that ask Airflow something at once. It answers one after another, in 60 ms: of 2,000 that end
#: together the last would wait for two minutes, and so would all else that the triggers of the process ask for.
_ASK_AT_ONCE = 4


@functools.lru_cache(maxsize=1)
def _turns(_loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    return asyncio.Semaphore(_ASK_AT_ONCE)


@asynccontextmanager
async def _airflow_answers() -> AsyncIterator[None]:
    """Wait for one's turn to ask Airflow something. :raises TimeoutError: it has not answered then for too long."""
    async with _turns(asyncio.get_running_loop()), asyncio.timeout(_ANSWER):
        yield


class InstanceSensorTrigger(InstanceEndTrigger):
    """
    Waits for the end of an instance, and ends the task itself where it succeeded, or is to be skipped.

    Success is what the instance says, read whole after the looks have seen its end; a read that fails is repeated until
    the deadline. A failure is handed to a worker, as the event of :class:`InstanceEndTrigger`: Airflow would retry one
    that ended here, and call neither callbacks nor listeners as it does for a task.

    :param timeout: seconds that the sensor may wait.
    :param skip: a failure and a timeout skip the task.
    :param push: give the result to XCom.
    :param airflow_timeout: seconds after which Airflow itself ends this trigger, where it began it without a worker
        (``start_from_trigger``): from its end the beginning is known, also in another triggerer. None: a worker did.

    The other parameters are those of :class:`InstanceEndTrigger`.
    """

    timeout: float
    skip: bool
    push: bool
    airflow_timeout: float | None
    _render_later: Callable[[], object] = staticmethod(lambda: None)

    def __init__(
        self,
        *,
        timeout: float,
        skip: bool = False,
        push: bool = True,
        airflow_timeout: float | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(timeout=timeout, skip=skip, push=push, airflow_timeout=airflow_timeout, **arguments)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        if self.airflow_timeout is not None and (why := await self._begin(self.airflow_timeout)):
            self.log.info("this sensor begins in a worker: %s", why)
            yield self._event({})
            return
        while True:
            event = await self._end(await self._verdict())
            if event is not None:
                break
        yield event

    def render_template_fields(self, context: Context, jinja_env: Environment | None = None) -> None:
        """Leave it to :meth:`run`, which does not wait for ever: not all that a template asks for is answered here."""
        self._render_later = functools.partial(super().render_template_fields, context, jinja_env)

    async def _begin(self, airflow_timeout: float) -> str | None:
        """Do what a worker does before it defers; return why a worker must do it, if so."""
        from airflow_provider_orchestration.run.wait.pollers import poller_for

        # Airflow sets it for each triggerer that this trigger comes to; `dag.test()` does not.
        ends = getattr(self, "timeout_after", None)
        began = time.time() if ends is None else ends.replace(tzinfo=ends.tzinfo or UTC).timestamp() - airflow_timeout
        self.deadline = began + self.timeout
        task: Any = self.task
        ti: Any = self.task_instance
        if task is not None and ti.map_index < 0 and next(task.iter_mapped_dependants(), None) is not None:
            return "another task is mapped over its result"
        try:
            async with _airflow_answers():
                self._render_later()
        except TimeoutError:
            return f"the triggerer has not rendered its templates for {in_words(_ANSWER)}"
        except Exception as error:  # noqa: BLE001 - the worker knows more, e.g. the macros of the DAG
            return f"the triggerer cannot render its templates: {error}"
        try:
            check_id("instance_id", self.instance_id)
            look = await poller_for(self.formance_conn_id).call(self._first_look)
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker says it, and fails as it does
            return str(error)
        if isinstance(look, str):
            return look
        if look.instance is not None:
            self.workflow_id = look.instance.workflow_id
        return None

    def _first_look(self, client: FlowsClient) -> Look | str:
        from airflow_provider_orchestration.run.wait.watch import take_look

        return who_needs_a_worker() or take_look(client, self.instance_id, with_history=False)

    async def _end(self, verdict: Verdict) -> TriggerEvent | None:
        """Return the event that ends the waiting; None, after a pause, if the end was none."""
        from airflow_provider_orchestration.run.wait.pollers import poller_for

        # In this task's context, or its log would not hold what was seen.
        context = contextvars.copy_context()
        poller = poller_for(self.formance_conn_id)
        try:
            found = await poller.call(lambda client: context.run(self._read, client, verdict))
        except (InstanceFailedError, InvalidInputError) as error:
            return self._failed(verdict, str(error), *error.details)
        except FlowsApiError as error:
            found = f"instance {self.instance_id} cannot be read now: {error}"
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the task here
            found = None
            self.log.warning("the end cannot be read here: %s", error)
        if found is None:
            return self._event(verdict.as_event())
        if isinstance(found, dict):
            if self.push and poller.pulse.stood_still():
                # The task may be another try's by now, and an XCom does not say whose it is; the event is of this one.
                self.log.warning("this process stood still for a while, so a worker gives the result")
                return self._event(verdict.as_event())
            if self.push and not await self._push(found):
                return self._event(verdict.as_event())
            self.log.info("instance %s succeeded; this task ends without a worker", self.instance_id)
            return TaskSuccessEvent()
        left = float("inf") if self.deadline is None else self.deadline - time.time()
        if left <= 0:
            return self._failed(verdict, f"timeout of {in_words(self.timeout)} passed; {found}")
        self.log.warning("it was said to be over (%s), but %s; waiting again", verdict.verdict, found)
        await asyncio.sleep(min(self.poll_interval, left))
        return None

    def _read(self, client: FlowsClient, verdict: Verdict) -> dict[str, Any] | str | None:
        """Read the end in one of the poller's threads; None where a worker must do that."""
        from airflow_provider_orchestration.run.wait.ending import read_end

        if why := who_needs_a_worker():
            self.log.info("this sensor ends in a worker: %s", why)
            return None
        return read_end(client, self.instance_id, verdict, self.log, retries=0)

    async def _push(self, result: dict[str, Any]) -> bool:
        """Give the result to XCom; tell whether that worked."""
        from airflow.sdk.execution_time.xcom import XCom

        ti: Any = self.task_instance
        try:
            names = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
            async with _airflow_answers():
                # Not by the event: Airflow 3.3 would encode it twice, and who pulls it would get a text.
                await XCom.aset("return_value", result, **names)
        except Exception as error:  # noqa: BLE001 - whatever it is, a worker gives it
            self.log.warning("the result cannot be given to XCom here, a worker does it: %r", error)
            return False
        return True

    def _failed(self, verdict: Verdict, why: str, *details: str) -> TriggerEvent:
        if not self.skip:
            return self._event(verdict.as_event())
        for line in details:
            self.log.warning("%s", line)
        self.log.warning("skipped instead of failed: %s", why)
        return TaskSkippedEvent()


@functools.cache
def who_needs_a_worker() -> str | None:
    """
    Return what of this deployment would miss the end of a task in the triggerer, or None.

    Once for the process, and not on the event loop: the plugins may have to be loaded.
    """
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.xcom import XCom
    from airflow.sdk.listener import get_listener_manager

    if XCom is not BaseXCom:
        return "[core] xcom_backend is set, and used by workers only"
    hook = get_listener_manager().hook
    listened = ("on_task_instance_running", "on_task_instance_success", "on_task_instance_skipped")
    if any(getattr(hook, name).get_hookimpls() for name in listened):
        return "a listener of task instances is installed, and called by workers only"
    return None
