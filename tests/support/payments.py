"""Payments by a real Airflow: a workflow that pays twice with a wait between, and what is counted of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.exceptions import NotFoundError

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Workflow
    from airflow_provider_orchestration.emulator.testing import EmulatorProcess
    from tests.support.airflow_runs import Run

AMOUNT = 100


def _send(source: str, destination: str, amount: str) -> dict[str, Any]:
    return {
        "send": {
            "source": {"account": {"id": source, "ledger": "default"}},
            "destination": {"account": {"id": destination, "ledger": "default"}},
            "amount": {"amount": amount, "asset": "EUR/2"},
            "metadata": {"airflow": "${airflow_run_key}"},
        }
    }


#: Pays in, waits for `go`, pays out. A `payout` that is no number fails the last stage.
TWO_PAYMENTS: dict[str, Any] = {
    "name": "two_payments",
    "stages": [
        _send("world", "orders:e2e", str(AMOUNT)),
        {"wait_event": {"event": "go"}},
        _send("orders:e2e", "${payee}", "${payout}"),
    ],
}


def client_of(emulator: EmulatorProcess) -> FlowsClient:
    """Return a client of an emulator, for what somebody else than Airflow does to the stack; a context manager."""
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.settings import ClientSettings

    return FlowsClient(
        ClientSettings(
            base_url=emulator.flows_url,
            token_url=emulator.token_url,
            client_id=emulator.client_id,
            client_secret=emulator.client_secret,
        )
    )


def moved_on(emulator: EmulatorProcess, prefix: str = "") -> list[tuple[str, int]]:
    """Return to whom money moved on a stack, and how much: each posting; only for run keys that begin so."""
    return [
        (posting["destination"], posting["amount"])
        for transaction in emulator.transactions()
        if transaction["metadata"].get("airflow", "").startswith(prefix)
        for posting in transaction["postings"]
    ]


class Payments:
    """Starts DAGs of `dags/pay.py`, and counts on the stack what they did there."""

    def __init__(self, emulator: EmulatorProcess, flows: FlowsClient, start_dag: Callable[..., Run]) -> None:
        self._emulator = emulator
        self._flows = flows
        self._start_dag = start_dag

    def start(
        self,
        dag_id: str,
        *,
        workflow: dict[str, Any] = TWO_PAYMENTS,
        payout: str = str(AMOUNT),
        run_id: str | None = None,
        **conf: object,
    ) -> Run:
        """Trigger a DAG that pays by a workflow of its own."""
        return self.start_named(dag_id, self._flows.create_workflow(workflow), payout=payout, run_id=run_id, **conf)

    def start_named(
        self,
        dag_id: str,
        deployed: Workflow,
        *,
        payout: str = str(AMOUNT),
        run_id: str | None = None,
        **conf: object,
    ) -> Run:
        """Trigger a DAG that pays by a workflow that is there."""
        known = {"workflow_id": deployed.id, "workflow_name": deployed.name, "payout": payout}
        return self._start_dag(dag_id, {**known, **conf}, run_id)

    def start_deferred(self, dag_id: str = "pay_deferred", **more: Any) -> tuple[Run, str]:
        """Trigger a DAG whose payment waits in the triggerer; return the run and the instance, when both wait."""
        return self._start_and_wait("deferred", dag_id, more)

    def start_waiting(self, dag_id: str = "pay_waiting", **more: Any) -> tuple[Run, str]:
        """Trigger a DAG whose payment waits in the worker; return the run and the instance, when both wait."""
        return self._start_and_wait("running", dag_id, more)

    def _start_and_wait(self, state: str, dag_id: str, more: dict[str, Any]) -> tuple[Run, str]:
        run = self.start(dag_id, **more)
        run.wait_for_task("pay", state)
        instance = self.waiting_instance(run)
        # Told by the one who looks: without it the triggerer may not have begun.
        wait_for(lambda: "stage 2/3 wait_event 'go': waiting" in run.log("pay"), 60)
        return run, instance

    def instances(self, run: Run) -> list[str]:
        """Return the instances that the tasks of a DAG run started, the oldest first."""
        return [one["instance"] for one in self.sent(run)]

    def sent(self, run: Run) -> list[dict[str, Any]]:
        """Return what the tasks of a DAG run submitted, the oldest first: `instance`, `workflow` and `variables`."""
        begins = _begins(run)
        return [one for one in self._emulator.runs() if one["variables"].get("airflow_run_key", "").startswith(begins)]

    def waiting_instance(self, run: Run, number: int = 1) -> str:
        """Return the so many-th instance of a run, once it waits for its event."""
        instance = wait_for(lambda: self.instances(run)[number - 1 : number])[0]
        wait_for(lambda: len(self._flows.get_instance(instance).status) == 2)
        return instance

    def moved(self, run: Run) -> list[tuple[str, int]]:
        """Return to whom a DAG run moved money, and how much: each transaction."""
        return moved_on(self._emulator, _begins(run))

    def go(self, instance: str) -> None:
        """Let an instance go on, and wait until it has ended."""
        wait_for(lambda: self._listened(instance))
        wait_for(lambda: self._flows.get_instance(instance).terminated)

    def _listened(self, instance: str) -> bool:
        try:
            self._flows.send_event(instance, "go")
        except NotFoundError:
            # The stage has begun, and listens in a moment.
            return False
        return True

    def goes_on(self, instance: str) -> bool:
        """Whether an instance still runs."""
        return not self._flows.get_instance(instance).terminated

    @property
    def cancels(self) -> int:
        """How many cancels were asked for since the test began."""
        return int(self._emulator.counters()["requests"].get("cancel_event", 0))


def _begins(run: Run) -> str:
    """Return what the run keys of a DAG run's tasks begin with."""
    return f"{run.dag_id}/{run.run_id}/"


#: What one payment of TWO_PAYMENTS moves, to the payee of `dags/pay.py`.
PAID_IN = ("orders:e2e", AMOUNT)
PAID_OUT = ("users:e2e", AMOUNT)
