"""
A task is cleared while it runs after a deferral: Airflow then calls the method of that deferral with the old event.

Nobody calls ``execute`` on the next try. Each such method, ending green and ending red, in one run of one DAG; each
task has a stack of its own, so that its requests can be held, and whatever is counted there is its doing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from airflow_provider_orchestration.exceptions import NotFoundError
from tests.support.airflow_runs import Run, address, start
from tests.support.payments import AMOUNT, PAID_IN, PAID_OUT, TWO_PAYMENTS, client_of, moved_on
from tools.airflow_api import TASK_ENDED, AirflowApiError

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import StageHistory

pytestmark = pytest.mark.faults

#: Pays in, then takes `start`, and twice `go`.
TWO_EVENTS = {
    "name": "two_events",
    "stages": [
        TWO_PAYMENTS["stages"][0],
        *({"wait_event": {"event": event}} for event in ("start", "go", "go")),
        TWO_PAYMENTS["stages"][2],
    ],
}
#: Seconds, and those between two looks at a log, for which Airflow works hard.
LONG, PAUSE = 90.0, 1.0


#: Of each task of the DAG: a clear makes `max_tries` that many more than the try that was cleared.
RETRIES = 5


class Tasks:
    """The run's task instances; all who look at the same time share one request."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._lock = threading.Lock()
        self._until = 0.0
        self._seen: dict[str, dict[str, Any]] = {}

    def __call__(self, name: str, *, now: bool = False) -> dict[str, Any]:
        """Return a task instance as it is, or was a moment ago."""
        with self._lock:
            if now or time.monotonic() > self._until:
                seen = self.run.api.task_instances(self.run.dag_id, self.run.run_id)
                self._seen = {one["task_id"]: one for one in seen}
                self._until = time.monotonic() + 0.4
            return self._seen[name]


@dataclass
class Disturbed:
    """A task of the run, and the stack that it alone uses."""

    name: str
    emulator: EmulatorProcess
    flows: FlowsClient
    conf: dict[str, str] = field(default_factory=dict)
    run: Run = field(init=False)
    tasks: Tasks = field(init=False)
    #: Number of the try that was cleared, and of the next.
    old: int = 0
    again: int = 0

    @property
    def instance(self) -> str:
        """The only instance of the stack, whoever started it."""
        (one,) = self.emulator.runs()
        return str(one["instance"])

    @property
    def moved(self) -> list[tuple[str, int]]:
        """What money moved there."""
        return moved_on(self.emulator)

    @property
    def asked(self) -> dict[str, int]:
        """How often which operation was called since the latest hold."""
        return dict(self.emulator.counters()["requests"])

    def log(self, try_number: int | None = None) -> str:
        return self.run.log(self.name, try_number or int(self.tasks(self.name)["try_number"]))

    def wait(self, *states: str, min_try: int = 1) -> dict[str, Any]:
        """Wait for one of these states, or for any that is an end."""

        def look() -> dict[str, Any] | None:
            task = self.tasks(self.name)
            return task if task["state"] in (states or TASK_ENDED) and task["try_number"] >= min_try else None

        found = wait_for(look, LONG, 0.2)
        assert found is not None
        return found

    def deferred(self, told: str | None, times: int = 1, min_try: int = 1) -> None:
        """Wait until it waits in the triggerer, and this has been told there (or so often in all)."""
        self.wait("deferred", min_try=min_try)
        if told is None:
            return
        wait_for(lambda: self.log().count(told) >= times, LONG, PAUSE)

    def send(self, event: str) -> None:
        """Send an event, as somebody else does."""

        def listens() -> bool:
            try:
                self.flows.send_event(self.instance, event)
            except NotFoundError:
                return False
            return True

        wait_for(listens, LONG, PAUSE)

    def begun(self, stage: int) -> None:
        """Wait until a stage (from 0) has begun."""
        wait_for(lambda: len(self._history()) > stage, LONG, PAUSE)

    def _history(self) -> Sequence[StageHistory]:
        try:
            return self.flows.get_instance_history(self.instance)
        except NotFoundError:
            return ()

    def hold(self, operation: str = "get_instance", kind: str = "delay") -> None:
        """Give no answer any more: whoever asks for this takes effect, and waits for ever."""
        self.emulator.clear_faults()
        self.emulator.reset_counters()
        self.emulator.fault(operation, kind, "always", seconds=600.0)

    def held(self, operation: str = "get_instance", min_try: int = 1) -> None:
        """Wait until the task runs, and its request is held."""
        self.wait("running", min_try=min_try)
        wait_for(lambda: self.asked.get(operation), LONG, PAUSE)
        assert self.tasks(self.name, now=True)["state"] == "running"

    def resumed_and_held(self, operation: str = "get_instance", kind: str = "delay") -> None:
        """Wait until the triggerer has let it go on, and it is held in its worker."""
        self.resumed()
        self.hold(operation, kind)
        self.held(operation)

    def resumed(self) -> None:
        """Wait until the triggerer has let it go on: its worker needs a second or two to begin."""
        wait_for(lambda: self.tasks(self.name)["state"] != "deferred", LONG, 0.2)

    def cleared(self, method: str, *, goes_on: bool = True) -> None:
        """
        Clear it while it runs, and see in the log that the next try was resumed at the method with the old event.

        :param goes_on: whether its requests are answered again.
        """
        self.old = int(self.tasks(self.name, now=True)["try_number"])
        wait_for(self._clear, pause=PAUSE)
        self.again = self.old + 1
        if goes_on:
            self.emulator.clear_faults()
        self.wait("running", "deferred", "success", "failed", min_try=self.again)
        wait_for(
            lambda: (
                f"Airflow resumed this task at {method}, but the event is of what try {self.old} waited for, and was "
                "left over by a clear: it begins anew" in self.log(self.again)
            ),
            LONG,
            PAUSE,
        )
        assert "it begins anew" not in self.log(self.old)

    def _clear(self) -> bool:
        try:
            self.run.clear(self.name)
        except AirflowApiError as error:
            # On SQLite, where all write at once, a clear may have to be repeated as a person would.
            if "Database error" not in str(error):
                raise
            return False
        return True

    def lost(self) -> int:
        """Kill its process, as a machine that goes down does; return the number of Airflow's own retry."""
        task = self.tasks(self.name, now=True)
        os.kill(task["pid"], signal.SIGKILL)
        self.emulator.clear_faults()
        return int(task["try_number"]) + 1

    def ends_green(self) -> dict[str, Any]:
        """Wait for its end, which is success, and return its result."""
        assert self.wait(min_try=self.again)["state"] == "success"
        return dict(self.run.xcom(self.name))

    def ends_red(self, why: str, min_try: int = 0) -> None:
        """Wait for its end, which is a failure that is not retried and says why."""
        ended = self.wait(min_try=min_try or self.again)
        assert ended["state"] == "failed"
        assert ended["try_number"] <= ended["max_tries"], "no retries were left"
        assert why in self.log(ended["try_number"])

    def assert_own_generation(self) -> None:
        """The record is of the executions after the clear, so that the next failure is not taken for one."""
        record, task = self.run.record(self.name), self.tasks(self.name, now=True)
        assert (record["generation"], record["try_number"]) == (task["max_tries"], task["try_number"])
        # Of several that were cleared while they ran, and whose ends the scheduler reads at once, Airflow 3.3.2 raises
        # it for the first only: `ti.set_state(None)` there closes the session, and the next one is read anew.
        assert task["max_tries"] in (RETRIES, self.old + RETRIES)


def run_green(it: Disturbed) -> None:
    it.deferred("wait_event 'go': waiting")
    it.send("go")
    it.resumed_and_held()
    it.cleared("execute_complete")

    result = it.ends_green()
    assert (result["instance_id"], result["state"], result["taken_over"]) == (it.instance, "succeeded", True)
    it.assert_own_generation()
    assert it.moved == [PAID_IN, PAID_OUT]


def run_red(it: Disturbed) -> None:
    it.deferred("wait_event 'go': waiting")
    it.send("go")
    it.resumed_and_held()
    it.cleared("execute_complete", goes_on=False)
    it.hold()
    it.held(min_try=it.again)
    it.assert_own_generation()  # before it looked
    retry = it.lost()

    it.ends_red(f"instance {it.instance} failed: stage 3/3 send", retry)
    it.assert_own_generation()
    assert it.moved == [PAID_IN]


def _recovers(it: Disturbed) -> None:
    """Let it find the instance of its lost submission, and hold it when it has written that down."""
    it.deferred("looking for run key")
    it.hold()
    it.held()
    assert it.run.record(it.name)["instance_id"] == it.instance


def recovery_green(it: Disturbed) -> None:
    _recovers(it)
    it.cleared("execute_recovery")
    it.deferred("wait_event 'go': waiting", min_try=it.again)
    it.assert_own_generation()
    it.send("go")

    assert it.ends_green()["instance_id"] == it.instance
    assert f"taken over: instance {it.instance}" in it.log(it.again)
    assert it.moved == [PAID_IN, PAID_OUT]


def recovery_red(it: Disturbed) -> None:
    """The record's generation: the instance fails after the clear, and Airflow itself retries."""
    _recovers(it)
    it.cleared("execute_recovery")
    it.deferred("wait_event 'go': waiting", min_try=it.again)
    it.assert_own_generation()
    it.send("go")
    it.resumed_and_held()
    retry = it.lost()

    it.ends_red(f"instance {it.instance} failed: stage 3/3 send", retry)
    it.assert_own_generation()
    assert it.moved == [PAID_IN]


def recovery_unknown(it: Disturbed) -> None:
    """Found by nobody: the histories cannot be read."""
    it.deferred("looking for run key")
    it.resumed()
    # The last look is the worker's own.
    it.hold("list_instances")
    it.held("list_instances")
    it.cleared("execute_recovery", goes_on=False)
    it.emulator.clear_faults()
    it.emulator.fault("get_instance_history", "status", "always", status=503)

    it.ends_red("was submitted is not known")
    assert it.run.record(it.name)["phase"] == "unknown"
    assert it.instance in it.log()
    assert it.moved == [PAID_IN]


def _waits_for_second_go(it: Disturbed) -> bool:
    """Whether the stage after the one that took the event waits still."""
    status = it.flows.get_instance(it.instance).status
    return len(status) == 4 and status[2].terminated_at is not None and status[3].terminated_at is None


def send_green(it: Disturbed) -> None:
    """Cleared before it sent."""
    it.deferred("wait_event 'start': waiting")
    it.send("start")
    it.resumed_and_held()
    it.cleared("execute_at_stage")

    sent = it.ends_green()
    assert (sent["stage"], sent["confirmed"]) == (2, True)
    assert it.asked["send_event"] == 1
    assert _waits_for_second_go(it)
    assert it.moved == [PAID_IN]


def send_sent_green(it: Disturbed) -> None:
    """Cleared when the stage had taken it, and no answer had come."""
    it.deferred("wait_event 'start': waiting")
    it.send("start")
    it.resumed_and_held("send_event", "hang_after")
    it.cleared("execute_at_stage")

    sent = it.ends_green()
    assert (sent["stage"], sent["confirmed"], sent["taken_over"]) == (2, True, True)
    assert it.asked["send_event"] == 1
    assert _waits_for_second_go(it)
    assert it.moved == [PAID_IN]


def send_red(it: Disturbed) -> None:
    """While it is held, somebody else sends what it was to send."""
    it.deferred("wait_event 'start': waiting")
    it.send("start")
    it.resumed_and_held()
    it.send("go")
    it.begun(3)
    it.send("go")
    wait_for(lambda: it.moved == [PAID_IN, PAID_OUT])
    others = it.asked["send_event"]
    it.cleared("execute_at_stage")

    it.ends_red("it has succeeded")
    assert it.asked["send_event"] == others


def cancel_green(it: Disturbed) -> None:
    it.deferred("wait_event 'go': waiting")
    assert it.asked["cancel_event"] == 1
    it.send("go")
    it.resumed_and_held()
    it.cleared("execute_complete")

    assert it.ends_green()["state"] == "succeeded"
    assert "cancel_event" not in it.asked, "what has ended is not asked again"
    assert it.moved == [PAID_IN, PAID_OUT]


def cancel_red(it: Disturbed) -> None:
    it.deferred(None)
    it.resumed_and_held()
    it.cleared("execute_complete")

    it.ends_red("end it in the engine behind Flows")
    assert it.asked["cancel_event"] == 1, "a request: it may be repeated"
    assert not it.flows.get_instance(it.instance).terminated
    assert it.moved == [PAID_IN]


def sensor_green(it: Disturbed) -> None:
    it.deferred("wait_event 'go': waiting", times=2)
    it.send("go")
    it.resumed_and_held()
    it.cleared("execute_complete")

    result = it.ends_green()
    assert (result["instance_id"], result["state"]) == (it.instance, "succeeded")
    assert it.moved == [PAID_IN, PAID_OUT]


def sensor_red(it: Disturbed) -> None:
    it.deferred("wait_event 'go': waiting", times=2)
    it.send("go")
    it.resumed_and_held()
    it.cleared("execute_complete")

    it.ends_red(f"instance {it.instance} failed: stage 3/3 send")
    assert it.moved == [PAID_IN]


STORIES: tuple[Callable[[Disturbed], None], ...] = (
    # The longest first.
    recovery_red,
    run_red,
    recovery_unknown,
    recovery_green,
    run_green,
    cancel_red,
    send_red,
    send_sent_green,
    send_green,
    sensor_red,
    sensor_green,
    cancel_green,
)


def _prepare(it: Disturbed) -> None:
    """Deploy the task's workflow, and start, as somebody else, an instance for one that does not do so itself."""
    payout = "nonsense" if it.name in ("run_red", "recovery_red", "sensor_red") else str(AMOUNT)
    workflow = it.flows.create_workflow(TWO_EVENTS if it.name.startswith("send_") else TWO_PAYMENTS)
    it.conf.update(workflow_id=workflow.id, payout=payout)
    if it.name.startswith(("run_", "recovery_")):
        if it.name.startswith("recovery_"):
            it.emulator.fault("run_workflow", "reset_after")
            # Or it would be found before anybody has seen that it waits.
            it.emulator.fault("get_instance_history", "status", "always", status=503)
        return
    it.conf["instance_id"] = it.flows.run_workflow(workflow.id, {"payee": "users:e2e", "payout": payout}).id
    it.begun(1)


@pytest.fixture(scope="module")
def stories(airflow) -> Iterator[dict[str, tuple[Disturbed, Future[None]]]]:
    """All that happens, going on side by side: each task, and what becomes of its story."""
    with contextlib.ExitStack() as closing:
        pool = closing.enter_context(ThreadPoolExecutor(len(STORIES)))
        names = [story.__name__ for story in STORIES]
        stacks = [closing.enter_context(EmulatorProcess("--time-scale", "0.1")) for _ in names]
        tasks = {
            name: Disturbed(name, emulator, closing.enter_context(client_of(emulator)))
            for name, emulator in zip(names, stacks, strict=True)
        }
        for it in tasks.values():
            airflow.api.add_connection(f"resumes_{it.name}", "formance", **address(it.emulator))
            closing.callback(airflow.api.delete_connection, f"resumes_{it.name}")
            _prepare(it)
        run = start(airflow, "resumes", {name: it.conf for name, it in tasks.items()})
        seen = Tasks(run)
        for it in tasks.values():
            it.run, it.tasks = run, seen
        yield {story.__name__: (tasks[story.__name__], pool.submit(story, tasks[story.__name__])) for story in STORIES}


@pytest.mark.parametrize("name", [story.__name__ for story in STORIES])
def test_cleared_while_it_runs_after_a_deferral(stories, name):
    it, story = stories[name]
    try:
        story.result(timeout=280)
        assert len(it.emulator.runs()) == 1
    except BaseException:
        print(it.run.story(name))
        raise
