"""
A task's life that can be stopped anywhere: each execution runs to a point, and waits there for what the test does next.

So a test can let an execution sleep between two lines, kill it, let another begin, and wake the first. Points are
the calls to the state store (``before write intent``, ``after write intent``, ...) and each pause of one who waits
(``pause``). A kill raises what no code under test catches. Kills of real processes are in test_processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from greenlet import GreenletExit, getcurrent, greenlet  # type: ignore[import-untyped]

from tests.support.task_life import StoreAccessor, TaskLife

START, END = "start", "end"


class Killed(BaseException):
    """The process is gone."""


class Execution:
    """
    One execution of a task, as one process is.

    :param life: whose execution it is.
    :param step: what it does: ``execute``, or the method that a deferral named.
    """

    def __init__(self, life: SteppedLife, step: Callable[[Any, dict[str, Any]], Any]) -> None:
        self.at = START
        self.result: Any = None
        self.error: BaseException | None = None
        self.operator = life.make_operator()
        self._pause = self.operator.pause
        self.operator.pause = self._stop_and_pause
        context = life.context()
        store = life.store
        context["task_state_store"] = _SteppedStore(store, store.current, self)
        self._greenlet = greenlet(lambda: self._run(lambda: step(self.operator, context)))

    @property
    def ended(self) -> bool:
        """Whether there is no such process any more."""
        return self.at == END

    def go(self, until: str = END) -> str:
        """Go on to the end, or to the next point of this name (the beginning of it will do); return where it is."""
        while not self.ended:
            self._switch()
            if self.at.startswith(until):
                break
        return self.at

    def kill(self, by: BaseException | None = None) -> None:
        """End it where it is, as SIGKILL does, or by an exception that Airflow raises in it."""
        if not self.ended:
            self._switch(by or Killed())

    def point(self, name: str) -> None:
        """Wait here until the test goes on."""
        self.at = name
        parent = getcurrent().parent
        assert parent is not None
        signal = parent.switch()
        if signal is not None:
            raise signal

    def _switch(self, signal: BaseException | None = None) -> None:
        if self.at == START and signal is not None:
            self.at = END
            return
        self._greenlet.parent = getcurrent()
        self._greenlet.switch(*([signal] if self.at != START else []))

    def _run(self, step: Callable[[], Any]) -> None:
        try:
            self.result = step()
        except GreenletExit:
            raise
        except BaseException as error:  # noqa: BLE001 - Airflow's own are no Exceptions, some of them
            self.error = error
        self.at = END

    def _stop_and_pause(self, seconds: float, context: Any) -> None:
        self.point("pause")
        self._pause(seconds, context)


class _SteppedStore(StoreAccessor):
    def __init__(self, store: Any, number: int, execution: Execution) -> None:
        super().__init__(store, number)
        self._execution = execution

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self._execution.point(f"before write {value.get('phase', 'deferral')}")
        super().set(key, value, retention=retention)
        self._execution.point(f"after write {value.get('phase', 'deferral')}")


class SteppedLife(TaskLife):
    """The life of a task whose executions stop at points; `state` is Airflow's, `deferral` what a deferred one left."""

    deferral: TaskDeferred | None = None

    def begin(self) -> Execution:
        """Start the next try."""
        self.try_number += 1
        self.state, self.deferral = "running", None
        if self.next is None:
            self.xcoms.clear()
        return Execution(self, self.first_step())

    def begin_waiting(self) -> Execution:
        """Start the next try, and let it come to where it waits: in the worker, or deferred."""
        execution = self.begin()
        execution.go("pause")
        self.take(execution)
        return execution

    def finish(self, execution: Execution) -> str:
        """Let an execution go to its end, deferrals included, and return the task's state."""
        execution.go()
        while self.take(execution) == "deferred":
            execution = self.resume(self.fire())
            execution.go()
        assert self.state is not None
        return self.state

    def take(self, execution: Execution) -> str:
        """Take note of what became of an execution, as Airflow does of one that it has not given up."""
        if not execution.ended:
            return "running"
        error = self.error = execution.error
        if isinstance(error, TaskDeferred):
            self.state, self.deferral, self.next = "deferred", error, None
        elif error is None:
            self.state, self.next = "success", None
            self.xcoms["return_value"] = json.loads(json.dumps(execution.result))
        else:
            self.has_failed(final=isinstance(error, AirflowFailException))
        return str(self.state)

    def lose(self) -> None:
        """Give up the present execution, as Airflow does without a heartbeat; whether it has ended or not."""
        self.deferral = None
        self.has_failed(final=False)

    def fire(self) -> Any:
        """Run the trigger of a deferral in the triggerer; return its event."""
        assert self.deferral is not None
        trigger = self.deferral.trigger
        return self.run_trigger(type(trigger)(**json.loads(json.dumps(trigger.serialize()[1]))))

    def resume(self, event: Any) -> Execution:
        """Start the execution that goes on after a deferral."""
        deferral, self.deferral = self.deferral, None
        assert deferral is not None
        self.state = "running"
        self.next = (deferral.method_name, {**(deferral.kwargs or {}), "event": event})
        return Execution(self, self.first_step())

    def clear(self, *, running: bool = False) -> None:
        """Do what a person's clear does; what runs of it is given up."""
        super().clear(running=running)
        kept = self.next
        self.mark(None)
        self.next = kept

    def mark(self, state: str | None) -> None:
        """Do what a person's mark as failed or success does."""
        self.state, self.deferral, self.next = state, None, None
        self.store.current += 1

    def has_failed(self, *, final: bool) -> None:
        """Do what Airflow does when a try has failed, or is given up."""
        super().has_failed(final=final)
        self.store.current += 1
