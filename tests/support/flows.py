"""A stack as tests use it: its emulator, a client of it, and the stages that their workflows are made of."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.api.client import FlowsClient
from airflow_provider_orchestration.api.session import ClientSettings
from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.exceptions import NotFoundError

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.models import Instance, Workflow
    from airflow_provider_orchestration.emulator.testing import EmulatorProcess

Stages = dict[str, Any]


def send(destination: str = "payee", *, source: str = "world", amount: str = "100", key: bool = True) -> Stages:
    """A stage that pays; with the run key, if it is the first, it makes its workflow recoverable."""
    metadata = {"metadata": {"airflow": "${airflow_run_key}"}} if key else {}
    return {
        "send": {
            "source": {"account": {"id": source, "ledger": "default"}},
            "destination": {"account": {"id": destination, "ledger": "default"}},
            "amount": {"amount": amount, "asset": "EUR/2"},
            **metadata,
        }
    }


def wait_event(event: str) -> Stages:
    """A stage that waits for an event."""
    return {"wait_event": {"event": event}}


def delay(seconds: float) -> Stages:
    """A stage that lasts so many seconds of the stack: the emulator of the tests is ten times as fast."""
    return {"delay": {"duration": f"{int(seconds * 1000)}ms"}}


#: Fails at once: the amount comes from a variable that is a text.
FAILS = send(amount="${amount}")


class Flows:
    """
    A running emulator with a client that hardly pauses between its tries.

    :param emulator: where it runs
    :param client_id: None takes the emulator's own; its reader is ``demo-reader``
    """

    def __init__(self, emulator: EmulatorProcess, client_id: str | None = None) -> None:
        self.emulator = emulator
        self.settings = ClientSettings(
            base_url=emulator.flows_url,
            token_url=emulator.token_url,
            client_id=client_id or emulator.client_id,
            client_secret=client_id or emulator.client_secret,
            read_timeout=5.0,
            first_pause=0.01,
        )
        self.client = FlowsClient(self.settings)

    def workflow(self, *stages: Stages, name: str | None = None) -> Workflow:
        """Create a workflow, of a name that no other has."""
        return self.client.create_workflow({"name": name or unique("workflow"), "stages": list(stages)})

    def run(self, *stages: Stages, **variables: str) -> str:
        """Create a workflow, start an instance of it, and return the instance's id."""
        return self.client.run_workflow(self.workflow(*stages).id, variables).id

    def waiting_at(self, instance_id: str, stage: int) -> Instance:
        """Wait until a stage (from 0) has begun to listen or to work, and return the instance."""

        def look() -> Instance | None:
            try:
                begun = len(self.client.get_instance_history(instance_id, retries=0)) == stage + 1
            except NotFoundError:
                return None
            return self.client.get_instance(instance_id) if begun else None

        found = wait_for(look)
        assert found is not None
        return found

    def ended(self, instance_id: str) -> Instance:
        """Wait until an instance has ended, and return it."""

        def look() -> Instance | None:
            instance = self.client.get_instance(instance_id)
            return instance if instance.terminated else None

        found = wait_for(look)
        assert found is not None
        return found

    def runs_of(self, workflow_id: str) -> list[dict[str, Any]]:
        """Every run that was ever started of a workflow: instance, workflow, variables."""
        return [run for run in self.emulator.runs() if run["workflow"] == workflow_id]

    def balance(self, account: str, asset: str = "EUR/2") -> int:
        """What an account of the ledger `default` holds."""
        return int(self.emulator.account("default", account)["balances"].get(asset, 0))

    def asked(self, operation: str) -> int:
        """How often an operation was asked for since the test began."""
        return int(self.emulator.counters()["requests"].get(operation, 0))

    def asked_in_all(self) -> int:
        """How often anything was asked for since the test began."""
        return sum(self.emulator.counters()["requests"].values())


def unique(prefix: str) -> str:
    """A name that nothing else on the stack has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"
