"""
The life of one task of one DAG run as Airflow leads it: tries, deferrals, retries, clears, and a state store that
refuses executions that are no longer current. So a thousand lives cost seconds; the same on a real Airflow is in e2e.

Each execution gets a new operator, as each is a process of its own; triggers go through their serialisation. What they
talk to is real HTTP.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from airflow.triggers.base import BaseTaskEndEvent, TaskSkippedEvent, TaskSuccessEvent
from pydantic import JsonValue, TypeAdapter

from airflow_provider_orchestration.exceptions import FormanceError
from tests.support.supervisor import Supervisor

# What Airflow's message to its API server takes as a value: it refuses a tuple.
_STORABLE: TypeAdapter[Any] = TypeAdapter(JsonValue)


#: What an execution does with its operator and context.
Step = Callable[[Any, dict[str, Any]], Any]


class StaleExecutionError(Exception):
    """What Airflow's API answers (404) to a store write of an execution that is no longer the current one."""


@dataclass
class StateStore:
    """The rows of one task instance, and which execution is the current one."""

    rows: dict[str, Any] = field(default_factory=dict)
    current: int = 0
    #: Called before each write with its key and value; raises to make the write fail.
    before_write: Callable[[str, Any], None] = lambda _key, _value: None

    def accessor(self, execution: int) -> StoreAccessor:
        """Return what an execution sees of it."""
        return StoreAccessor(self, execution)


@dataclass
class StoreAccessor:
    """`context["task_state_store"]` of one execution."""

    store: StateStore
    execution: int

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value; nothing for a stale execution."""
        if self.execution != self.store.current:
            return default
        return json.loads(json.dumps(self.store.rows.get(key, default)))

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Write a value, unless the execution is stale."""
        _STORABLE.validate_python(value)
        self.store.before_write(key, value)
        if self.execution != self.store.current:
            raise StaleExecutionError(f"404: execution {self.execution} is not the current one")
        self.store.rows[key] = json.loads(json.dumps(value))


@dataclass
class TaskInstance:
    """`context["ti"]`, as far as it is used."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    max_tries: int
    xcoms: dict[str, Any]
    start_date: datetime | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep an XCom, which must be JSON."""
        self.xcoms[key] = json.loads(json.dumps(value))


@dataclass
class DagRun:
    """`context["dag_run"]`, as far as it is used."""

    run_after: datetime
    start_date: datetime | None = None
    clear_number: int = 0


class TaskLife:
    """
    One task of one DAG run.

    :param make_operator: returns a new operator; called for each execution, with nothing kept between them.
    :param retries: of the task.
    """

    def __init__(
        self,
        make_operator: Callable[[], Any],
        *,
        retries: int = 2,
        dag_id: str = "dag",
        run_id: str = "run",
        task_id: str = "task",
        map_index: int = -1,
    ) -> None:
        self.make_operator = make_operator
        self.retries = retries
        self.max_tries = retries
        self.names = (dag_id, run_id, task_id, map_index)
        self.dag_run = DagRun(datetime.now(UTC))
        self.store = StateStore()
        self.try_number = 0
        self.start_date = datetime.now(UTC)
        self.state: str | None = None
        self.error: BaseException | None = None
        self.xcoms: dict[str, Any] = {}
        self.deferred_to: list[str] = []
        #: The events by which triggers ended the task without a worker.
        self.ended_by: list[str] = []
        #: Where Airflow goes on, and with what: after a deferral, and on the try after a clear of a running task that
        #: had been resumed (shown on a real Airflow by tests/e2e/test_resumes.py).
        self.next: tuple[str, dict[str, Any]] | None = None
        #: Called with a trigger's class name and event before the task is resumed; may raise or change the event.
        self.on_event: Callable[[str, Any], Any] = lambda _trigger, event: event

    def context(self) -> dict[str, Any]:
        """Begin a new execution and return its context."""
        self.store.current += 1
        dag_id, run_id, task_id, map_index = self.names
        ti = TaskInstance(
            dag_id, run_id, task_id, map_index, self.try_number, self.max_tries, self.xcoms, self.start_date
        )
        dag_run = dataclasses.replace(self.dag_run)
        return {"ti": ti, "dag_run": dag_run, "task_state_store": self.store.accessor(self.store.current)}

    def execute(self) -> str:
        """Run one try to its end, deferrals included, and return the task's state."""
        self.try_number += 1
        self.error = None
        if self.next is None:
            self.start_date = datetime.now(UTC)
            self.xcoms.clear()
        try:
            result = self._follow(self.first_step())
        except Exception as error:  # noqa: BLE001 - as Airflow does
            self.error = error
            final = isinstance(error, AirflowFailException | AirflowSensorTimeout)
            if isinstance(error, AirflowSkipException):
                self.state = "skipped"
            else:
                self.has_failed(final=final)
        else:
            if result is not None:
                self.xcoms["return_value"] = json.loads(json.dumps(result))
            self.state = "success"
        self.next = None
        assert self.state is not None
        return self.state

    def first_step(self) -> Step:
        """Return what the next try begins with."""
        if self.next is None:
            return lambda operator, context: operator.execute(context)
        return functools.partial(_resume, *self.next)

    def has_failed(self, *, final: bool) -> None:
        """Do what Airflow does when a try has failed, or is given up."""
        more = self.max_tries != 0 and self.try_number <= self.max_tries
        self.state = "up_for_retry" if more and not final else "failed"
        self.next = None

    def execute_to_end(self) -> str:
        """Run tries until there is none left; a retry follows at once."""
        while self.execute() == "up_for_retry":
            pass
        assert self.state is not None
        return self.state

    def clear(self, *, running: bool = False) -> None:
        """
        Do what a person's clear does.

        :param running: the task is running, and its process ends of it: where it goes on after a deferral is kept.
        """
        self.max_tries = self.try_number + self.retries
        self.dag_run.clear_number += 1
        self.state = None
        if not running:
            self.next = None

    def run_trigger(self, trigger: Any) -> Any:
        """Do the triggerer's part for a deferred task: run its trigger and return the event's payload."""
        dag_id, run_id, task_id, map_index = self.names
        trigger.task_instance = TaskInstance(dag_id, run_id, task_id, map_index, self.try_number, self.max_tries, {})
        supervisor = Supervisor()
        with supervisor():
            event = asyncio.run(one_event(trigger))
        self.xcoms |= supervisor.xcoms
        return event

    @property
    def result(self) -> Any:
        """The XCom that the task returned."""
        return self.xcoms.get("return_value")

    @property
    def record(self) -> dict[str, Any] | None:
        """The record of the run."""
        return self.store.rows.get("formance_run")

    def _follow(self, step: Step) -> Any:
        while True:
            operator = self.make_operator()
            try:
                if self.next is not None or not getattr(operator, "start_from_trigger", False):
                    return step(operator, self.context())
                args = operator.start_trigger_args
                module, _, name = args.trigger_cls.rpartition(".")
                trigger = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(args.trigger_kwargs)))
                trigger.timeout_after = self.start_date + args.timeout
                method, kwargs = args.next_method, args.next_kwargs
            except TaskDeferred as deferred:
                class_path, arguments = deferred.trigger.serialize()
                trigger_class = type(deferred.trigger)
                assert class_path == f"{trigger_class.__module__}.{trigger_class.__qualname__}"
                trigger = trigger_class(**json.loads(json.dumps(arguments)))
                method, kwargs = deferred.method_name, deferred.kwargs
            name = type(trigger).__name__
            self.deferred_to.append(name)
            event = self.on_event(name, self.run_trigger(trigger))
            if isinstance(event, BaseTaskEndEvent):
                self._end_without_a_worker(event)
                return None
            self.next = (method, {**(kwargs or {}), "event": event})
            step = self.first_step()

    def _end_without_a_worker(self, event: BaseTaskEndEvent) -> None:
        """Do what Airflow does when a trigger ends its task."""
        self.ended_by.append(type(event).__name__)
        if isinstance(event, TaskSkippedEvent):
            raise AirflowSkipException("skipped by its trigger")
        # One that fails would be retried, even where no retry can help: no trigger of ours may do it.
        assert isinstance(event, TaskSuccessEvent)
        # Airflow would encode them twice.
        assert not event.xcoms


def _resume(method: str, kwargs: dict[str, Any], operator: Any, context: dict[str, Any]) -> Any:
    return operator.resume_execution(method, kwargs, context)


def told(error: BaseException | None) -> str:
    """Return what an error tells a person: its text, and the lines that stand above it in the task's log."""
    ours = error if isinstance(error, FormanceError) else getattr(error, "__context__", None)
    return "\n".join([str(error), *getattr(ours, "details", ())])


async def one_event(trigger: Any) -> Any:
    """Return the payload of the one event that a trigger yields, or the event itself where it ends the task."""
    events = [event async for event in trigger.run()]
    assert len(events) == 1, events
    await asyncio.sleep(0)
    if isinstance(events[0], BaseTaskEndEvent):
        return type(events[0]).model_validate_json(events[0].model_dump_json())
    return json.loads(json.dumps(events[0].payload))
