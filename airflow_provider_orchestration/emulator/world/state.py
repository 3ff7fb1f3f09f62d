"""All that the emulator remembers, and what of it changed since it was last written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_orchestration.emulator.world.ledger import Account, Ledger, Transaction
from airflow_provider_orchestration.emulator.world.models import (
    Instance,
    Occurrence,
    Start,
    Trigger,
    Workflow,
    compact,
)


class State:
    """Workflows, instances, triggers, occurrences and ledgers, each by id and in the order in which they came."""

    def __init__(self) -> None:
        self.publish: Callable[[str, dict[str, Any]], None] = lambda _type, _payload: None
        self.changed: dict[int, Any] = {}
        self.forgotten = False
        self.removed: list[Start] = []
        self.clear()

    def clear(self) -> None:
        """Forget everything but the ledger ``default``."""
        self.workflows: dict[str, Workflow] = {}
        self.instances: dict[str, Instance] = {}
        self.triggers: dict[str, Trigger] = {}
        self.occurrences: dict[str, Occurrence] = {}
        self.starts: dict[str, Start] = {}
        self.ledgers: dict[str, Ledger] = {}
        self._listed: dict[str, bytes] = {}
        self._workflow_json: dict[str, bytes] = {}
        self.changed.clear()
        self.removed.clear()
        self.forgotten = True
        self.ledger("default")

    def note(self, thing: Any) -> None:
        """Something is new or has changed."""
        self.changed[id(thing)] = thing
        if isinstance(thing, Instance):
            self._listed.pop(thing.id, None)
        elif isinstance(thing, Workflow):
            self._workflow_json.pop(thing.id, None)

    def _publish(self, kind: str, payload: dict[str, Any]) -> None:
        self.publish(kind, payload)

    def rewrite(self, instance: Instance) -> None:
        """An instance's row was updated: the database lists it after all that were written before."""
        self.instances[instance.id] = self.instances.pop(instance.id)

    def ledger(self, name: str) -> Ledger:
        """The ledger of this name, made if it is not there."""
        if name not in self.ledgers:
            self.ledgers[name] = ledger = Ledger(name, self.note, self._publish)
            self.note(ledger)
        return self.ledgers[name]

    def restore(self, thing: Any) -> None:
        """Put back what was written down."""
        if isinstance(thing, Account):
            self.ledger(thing.ledger).accounts[thing.name] = thing
        elif isinstance(thing, Transaction):
            self.ledger(thing.ledger).transactions.append(thing)
        else:
            shelves: dict[type, dict[str, Any]] = {
                Workflow: self.workflows,
                Instance: self.instances,
                Trigger: self.triggers,
                Occurrence: self.occurrences,
                Start: self.starts,
            }
            shelves[type(thing)][thing.id] = thing

    def restored(self) -> None:
        """Everything is back: put the instances in the order in which they were written."""
        written = sorted(self.instances.values(), key=lambda instance: instance.terminated_at or instance.created_at)
        self.instances = {instance.id: instance for instance in written}
        self.forgotten = False

    def list_workflows(self) -> list[bytes]:
        """The JSON of each workflow that is not deleted."""
        return [self._workflow(one.id) for one in self.workflows.values() if one.deleted_at is None]

    def list_instances(self, workflow_id: str, running: bool) -> list[bytes]:
        """The JSON of each instance of a workflow that is not deleted."""
        items = []
        for instance in self.instances.values():
            if workflow_id and instance.workflow_id != workflow_id:
                continue
            if running and instance.terminated:
                continue
            if self.workflows[instance.workflow_id].deleted_at is None:
                items.append(self._listed.get(instance.id) or self._list(instance))
        return items

    def _list(self, instance: Instance) -> bytes:
        shown = instance.show()
        head = compact({"workflowID": shown.pop("workflowID")})[:-1]
        item = head + b',"workflow":' + self._workflow(instance.workflow_id) + b"," + compact(shown)[1:]
        self._listed[instance.id] = item
        return item

    def _workflow(self, workflow_id: str) -> bytes:
        workflow = self._workflow_json.get(workflow_id)
        if workflow is None:
            workflow = self._workflow_json[workflow_id] = compact(self.workflows[workflow_id].show())
        return workflow
