"""The operations on workflows and instances: what a real server answers to each, its quirks included."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_orchestration.emulator.go import gojson, golang, goyaml
from airflow_provider_orchestration.emulator.world import resolution
from airflow_provider_orchestration.emulator.world.engine import Engine
from airflow_provider_orchestration.emulator.world.generation import Generation
from airflow_provider_orchestration.emulator.world.models import FRESH, Instance, Start, Workflow
from airflow_provider_orchestration.emulator.world.signals import SignalError, Signals
from airflow_provider_orchestration.emulator.world.state import State

NO_ROWS = "sql: no rows in result set"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass
class Call:
    """A request to an operation."""

    ids: tuple[str, ...]
    query: dict[str, str]
    content_type: str
    body: bytes
    has_length: bool = True


@dataclass
class Answer:
    """What is answered: JSON if there is a body, unless the type says otherwise."""

    status: int
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


Operation = Callable[[Call], "Answer | Awaitable[Answer]"]


def data(value: Any, status: int = 200) -> Answer:
    """An answer in its wrapping."""
    return Answer(status, golang.dump({"data": value}))


def error(status: int, code: str, message: str) -> Answer:
    """An error as the server shows it."""
    return Answer(status, golang.dump({"errorCode": code, "errorMessage": message}))


def internal(message: str) -> Answer:
    """What the server answers to most that goes wrong."""
    return error(500, "INTERNAL", message)


def invalid(generation: Generation, message: str) -> Answer:
    """What is said of a request that cannot be: the next server tells it from what goes wrong."""
    return error(400, "VALIDATION", message) if generation.is_next else internal(message)


def no_content() -> Answer:
    """Done, and nothing to say."""
    return Answer(204, b"", None)


def wants(value: str) -> bool:
    """A boolean of a query: anything that the server does not know is no."""
    return value.lower() in ("true", "1")


class InstanceOperations:
    """Workflows and instances."""

    def __init__(self, state: State, engine: Engine, signals: Signals, generation: Generation) -> None:
        self.state = state
        self.generation = generation
        self.engine = engine
        self.signals = signals

    def orchestrationget_server_info(self, _: Call) -> Answer:
        """The version; outside authentication."""
        return Answer(200, golang.dump({"version": "develop"}))

    def create_workflow(self, call: Call) -> Answer:
        """From JSON, or from YAML if the type says so."""
        fit = gojson.Fit()
        context = "unmarshalling json body: "
        try:
            if call.content_type == "text/vnd.yaml":
                context = "unmarshalling yaml: "
                raw = goyaml.parse(call.body)
                context = "unmarshalling workflow data: "
            else:
                raw = gojson.parse(call.body)
            config = fit.struct(raw, "workflow.Config", {"name": fit.string, "stages": partial(_stages, fit)})
            fit.check()
        except gojson.DecodeError as problem:
            return error(400, "VALIDATION", f"{context}{problem}")
        except goyaml.PanicError:
            return Answer(500)
        stages = config.get("stages")
        try:
            resolution.check_workflow(stages or [])
        except resolution.SchemaError as problem:
            what = "invalid workflow configuration: " if self.generation.is_next else ""
            return invalid(self.generation, f"creating workflow: {what}{problem}")
        now = golang.now_ns()
        workflow = Workflow(str(uuid.uuid4()), config.get("name", ""), stages, now, now)
        self.state.workflows[workflow.id] = workflow
        self.state.note(workflow)
        return data(workflow.show(FRESH), 201)

    def get_workflow(self, call: Call) -> Answer:
        """Deleted ones too, on today's server."""
        workflow = self._workflow(call.ids[0])
        return self._missing(NO_ROWS) if workflow is None else data(workflow.show())

    def delete_workflow(self, call: Call) -> Answer:
        """Again and again, if one likes, on today's server."""
        if not _UUID.fullmatch(call.ids[0]):
            return error(400, "VALIDATION", "Key: '' Error:Field validation for '' failed on the 'uuid' tag")
        workflow = self._workflow(call.ids[0])
        if workflow is None:
            return error(404, "NOT_FOUND", "Workflow not found")
        workflow.deleted_at = golang.now_ns()
        self.state.note(workflow)
        return no_content()

    async def run_workflow(self, call: Call) -> Answer:
        """Answers when a worker has begun the run, or where asked to, on the next server, when it has ended."""
        fit = gojson.Fit()
        try:
            # The server looks at a body only if its length was announced.
            variables = fit.string_map(gojson.parse(call.body)) if call.body and call.has_length else {}
            fit.check()
        except gojson.DecodeError as problem:
            return error(400, "VALIDATION", str(problem))
        workflow = self._workflow(call.ids[0])
        if workflow is None:
            return self._missing(NO_ROWS)
        begun: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        self.engine.submit(Start(str(uuid.uuid4()), workflow.id, variables), partial(_resolve, begun))
        instance = await begun
        if not wants(call.query.get("wait", "")):
            return data(instance.show(FRESH), 201)
        # Today's does not wait for the end, but long enough for the first stage's row to be there.
        shown: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        listeners = self.engine.on_ended if self.generation.is_next else self.engine.on_shown
        listeners[instance.id] = partial(_resolve, shown)
        await shown
        answer = instance.show(workflow=workflow, stages=True)
        # Recorded of the next server: a run that failed shows the error at its stage, and not its own.
        answer.pop("error", None)
        return data(answer, 201)

    def get_instance(self, call: Call) -> Answer:
        """With its workflow and its stages."""
        instance = self.state.instances.get(call.ids[0])
        if instance is None:
            return self._missing("Instance not found")
        return data(instance.show(workflow=self.state.workflows[instance.workflow_id], stages=True))

    get_instance_v2 = get_instance

    def get_instance_history(self, call: Call) -> Answer:
        """The stages that have begun to run."""
        instance = self.state.instances.get(call.ids[0])
        if instance is None or instance.purged or not instance.begun:
            return self._missing(f"workflow not found for ID: {call.ids[0]}-main")
        return data([stage.run.show() for stage in instance.stages if stage.run is not None])

    def get_instance_stage_history(self, call: Call) -> Answer:
        """The activities of a stage."""
        if not re.fullmatch(r"[+-]?[0-9]+", call.ids[1]) or abs(int(call.ids[1])) >= 2**63:
            return Answer(404, b"", None)
        instance, number = self.state.instances.get(call.ids[0]), int(call.ids[1])
        run = instance.stages[number].run if instance and 0 <= number < len(instance.stages) else None
        if instance is None or instance.purged or run is None:
            return error(404, "NOT_FOUND", "Instance not found")
        return data([activity.show() for activity in run.activities])

    def send_event(self, call: Call) -> Answer:
        """Taken, or lost without a word."""
        fit = gojson.Fit()
        try:
            event = fit.struct(gojson.parse(call.body), "workflow.Event", {"name": fit.string})
            fit.check()
        except gojson.DecodeError as problem:
            return error(400, "VALIDATION", str(problem))
        try:
            self.signals.send_event(call.ids[0], event.get("name", ""))
        except SignalError as problem:
            return self._missing(str(problem))
        return no_content()

    def cancel_event(self, call: Call) -> Answer:
        """Without effect on today's server, unless the emulator was told to honour it."""
        try:
            self.signals.abort(call.ids[0])
        except SignalError as problem:
            return self._missing(str(problem))
        return no_content()

    def _workflow(self, workflow_id: str) -> Workflow | None:
        """The workflow of an id, as far as the server knows it."""
        workflow = self.state.workflows.get(workflow_id)
        gone = workflow is not None and workflow.deleted_at is not None and self.generation.is_next
        return None if gone else workflow

    def _missing(self, message: str) -> Answer:
        """What is said of what is not there."""
        return error(404, "NOT_FOUND", message) if self.generation.is_next else internal(message)


def _resolve(begun: asyncio.Future[Instance], instance: Instance) -> None:
    if not begun.done():
        begun.set_result(instance)


def _stages(fit: gojson.Fit, raw: Any, field: str) -> list[Any] | None:
    if not isinstance(raw, list):
        fit.misfit(raw, "[]workflow.RawStage", field)
        return None
    return [_stage(fit, stage, field) for stage in raw]


def _stage(fit: gojson.Fit, raw: Any, field: str) -> dict[str, Any] | None:
    if raw is None:
        return None
    if not isinstance(raw, gojson.Object):
        fit.misfit(raw, "workflow.RawStage", field)
        return None
    return dict(sorted({kind: fit.anything_map(value, field) for kind, value in raw.pairs}.items()))
