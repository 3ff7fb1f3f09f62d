"""What a fault leaves behind in Flows: instances, times the money moved, and the state of the task."""

from __future__ import annotations

from typing import Any

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from benchmarks.faults_parts.lives import PAYEES, ClearedLife, Item, map_and_reorder

Outcome = tuple[int, int | None, str]


def send(payee: str, amount: str = "100") -> dict[str, Any]:
    """Return a stage that pays, and shows the run key."""
    return {
        "send": {
            "source": {"account": {"id": "world"}},
            "destination": {"account": {"id": payee}},
            "amount": {"amount": amount, "asset": "EUR/2"},
            "metadata": {"airflow": "${airflow_run_key}"},
        }
    }


def delay(seconds: int) -> dict[str, Any]:
    """Return a stage that lasts so long by the stack's clock."""
    return {"delay": {"duration": f"{seconds}s"}}


class Payments:
    """
    Runs of one workflow, counted from outside.

    :param emulator: where they run.
    :param stages: of the workflow.
    """

    def __init__(self, emulator: EmulatorProcess, *stages: dict[str, Any], deferrable: bool) -> None:
        self.emulator = emulator
        self.deferrable = deferrable
        self.hook = OrchestrationHook()
        self.workflow = self.hook.create_workflow({"name": "pay", "stages": list(stages)}).id
        emulator.clear_faults()

    def operator(self, **arguments: Any) -> Any:
        """Return a new operator, as each execution has its own."""
        return RunWorkflowOperator(
            task_id="task",
            retries=2,
            workflow_id=self.workflow,
            deferrable=self.deferrable,
            poll_interval=0.1,
            recovery_timeout=3.0,
            run_timeout=60.0,
            **arguments,
        )

    def runs(self) -> list[dict[str, Any]]:
        """Return every run that was ever started, after all of them have ended."""
        runs = [run for run in self.emulator.runs() if run["workflow"] == self.workflow]
        wait_for(lambda: all(self.hook.get_instance(run["instance"]).terminated for run in runs))
        return runs

    def moved(self, payee: str) -> int:
        """Return how often a payee was paid."""
        return int(self.emulator.account("default", payee)["balances"].get("EUR/2", 0)) // 100


def cleared_while_resumed(emulator: EmulatorProcess, payee: str) -> Outcome:
    """Let a task pay that is cleared while it is resumed; its run fails after the payment, and a worker dies."""
    payments = Payments(emulator, send(payee), delay(20), send(payee, "${last}"), deferrable=True)

    def cleared() -> None:
        (run,) = (run for run in emulator.runs() if run["workflow"] == payments.workflow)
        if payments.hook.get_instance(run["instance"]).terminated:
            raise RuntimeError("the run ended before its task was cleared")

    life = ClearedLife(
        lambda: payments.operator(variables={"last": "nonsense"}),
        deadline="deadline",
        cleared=cleared,
    )
    state = life.execute_to_end()
    return len(payments.runs()), payments.moved(payee), state


def reordered(emulator: EmulatorProcess, prefix: str, *, deferrable: bool) -> list[Outcome]:
    """Let mapped tasks pay whose list changes its order before they are cleared; the outcome for each payee."""
    payments = Payments(emulator, send("${payee}", "${amount}"), deferrable=deferrable)
    payees = [f"{prefix}:{name}" for name in PAYEES]

    def operator(item: Item) -> Any:
        return payments.operator(variables={"payee": item[0], "amount": item[1]})

    states = map_and_reorder(operator, payees)
    asked = [run["variables"]["payee"] for run in payments.runs()]
    return [(asked.count(payee), payments.moved(payee), states[payee]) for payee in payees]
