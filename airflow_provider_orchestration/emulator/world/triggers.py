"""The stack's event bus, and the Flows triggers that listen to it."""

from __future__ import annotations

import uuid
from typing import Any

from airflow_provider_orchestration.emulator.expr.evaluation import EvaluationError, LinkError, evaluate
from airflow_provider_orchestration.emulator.go import golang
from airflow_provider_orchestration.emulator.world.engine import Engine
from airflow_provider_orchestration.emulator.world.models import Instance, Occurrence, Start, Trigger

_ONCE_FOR_EACH_ID = ("SAVED_PAYMENT", "SAVED_ACCOUNT")
_ACTIVITY = "activity error (type: EvalTriggerVariables, scheduledEventID: 5, startedEventID: 6, identity: worker): "
_STEP = 0.2  # part of a stage's delay that an event needs to come through


class Bus:
    """Takes events and starts what waits for them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.state = engine.state
        engine.publish = lambda kind, payload: self.publish(kind, payload, app="orchestration", version="v2")
        self.state.publish = lambda kind, payload: self.publish(kind, payload, app="ledger", version="v2")

    def publish(self, kind: str, payload: Any, app: str = "", version: str = "") -> None:
        """Put an event on the bus. It is forgotten if no trigger waits for its type."""
        if not any(trigger.event == kind and not trigger.deleted for trigger in self.state.triggers.values()):
            return
        now = self.engine.timers.clock()
        event = {
            "idempotency_key": "",
            "date": golang.format_time(now, 6),
            "app": app,
            "version": version,
            "type": kind,
            "payload": golang.through_float(payload),
        }
        self.engine.timers.add(now + self.engine.pace.step(_STEP), lambda: self._dispatch(event))

    def _dispatch(self, event: dict[str, Any]) -> None:
        for trigger in list(self.state.triggers.values()):
            if self._wants(trigger, event):
                self._fire(trigger, event)

    def _wants(self, trigger: Trigger, event: dict[str, Any]) -> bool:
        if trigger.deleted or trigger.event != event["type"]:
            return False
        if trigger.version is not None and trigger.version != event["version"]:
            return False
        if trigger.filter:
            try:
                if evaluate(trigger.filter, event["payload"]) is not True:
                    return False
            except EvaluationError:
                return False
        return not self._seen(trigger, event)

    def _seen(self, trigger: Trigger, event: dict[str, Any]) -> bool:
        """Payments and accounts are saved many times; a trigger takes each of them once."""
        if event["type"] not in _ONCE_FOR_EACH_ID:
            return False
        payload = event["payload"]
        key = str(payload.get("id", "")) if isinstance(payload, dict) else ""
        if key in trigger.seen:
            return True
        trigger.seen.append(key)
        self.state.note(trigger)
        return False

    def _fire(self, trigger: Trigger, event: dict[str, Any]) -> None:
        occurrence = Occurrence(str(uuid.uuid4()), trigger.id, self.engine.timers.clock(), event)
        try:
            variables = {
                name: _as_variable(evaluate(text, event["payload"])) for name, text in sorted(trigger.vars.items())
            }
        except EvaluationError as error:
            kind, retryable = ("APPLICATION", "false") if isinstance(error, LinkError) else ("Error", "true")
            cause = f": {error}" if isinstance(error, LinkError) else ""
            occurrence.error = f"{_ACTIVITY}{error} (type: {kind}, retryable: {retryable}){cause}"
            self._insert(occurrence)
            return

        def begun(instance: Instance) -> None:
            occurrence.instance_id = instance.id
            self._insert(occurrence)

        # The engine names a run that another run began after that run, and the event that began it.
        start = Start(f"{golang.uuid7()}_11", trigger.workflow_id, variables)
        self.engine.submit(start, begun)

    def _insert(self, occurrence: Occurrence) -> None:
        self.state.occurrences[occurrence.id] = occurrence
        self.state.note(occurrence)
        told: dict[str, Any] = {"id": occurrence.id, "triggerID": occurrence.trigger_id}
        if occurrence.error is None:
            self.engine.publish("SUCCEEDED_TRIGGER", {**told, "workflowInstanceID": occurrence.instance_id})
        else:
            self.engine.publish("FAILED_TRIGGER", {**told, "error": occurrence.error})


def _as_variable(value: Any) -> str:
    """Numbers as JSON, everything else as Go prints it."""
    if isinstance(value, float):
        return str(golang.number(value))
    return golang.sprint(value)
