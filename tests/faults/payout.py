"""
A payout whose number of runs and whose money can be counted from outside, and the tasks that make it.

The counts come from the emulator's control routes, not from the code under test.
"""

from __future__ import annotations

import contextlib
import itertools
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from tests.support.task_life import TaskLife, told

if TYPE_CHECKING:
    from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook

AMOUNT = 1000
KEY = "${airflow_run_key}"
#: A stage after the payment that waits for a person.
APPROVAL = {"wait_event": {"event": "approved"}}
_names = itertools.count()

mode = pytest.mark.parametrize("deferrable", [False, True], ids=["waiting", "deferrable"])
recoverable = pytest.mark.parametrize("recoverable", [True, False], ids=["recoverable", "not-recoverable"])


def payment(payee: str, amount: str = "${amount}", *, source: str = "world", key: str | None = KEY) -> dict[str, Any]:
    """Return a stage that pays; with a run key it makes its workflow recoverable."""
    return {
        "send": {
            "source": {"account": {"id": source, "ledger": "default"}},
            "destination": {"account": {"id": payee, "ledger": "default"}},
            "amount": {"amount": amount, "asset": "EUR/2"},
            "metadata": {"airflow": key} if key else {},
        }
    }


def failing(payee: str) -> dict[str, Any]:
    """Return a stage that fails at once."""
    return payment(payee, "${nothing}")


class Payout:
    """
    A workflow that pays in its first stage.

    :param recoverable: whether its first stage shows the run key.
    :param then: further stages.
    """

    def __init__(
        self,
        emulator: EmulatorProcess,
        hook: OrchestrationHook,
        *then: dict[str, Any],
        recoverable: bool = True,
        name: str | None = None,
        payee: str | None = None,
    ) -> None:
        self.emulator = emulator
        self.hook = hook
        self.recoverable = recoverable
        self.payee = payee or f"users:{uuid.uuid4().hex}"
        self.name = name or f"payout {next(_names)} {uuid.uuid4().hex}"
        stages = [payment(self.payee, key=KEY if recoverable else None), *then]
        self.id = hook.create_workflow({"name": self.name, "stages": stages}).id
        self.variables: dict[str, Any] = {"amount": AMOUNT}
        if any("${nothing}" in str(stage) for stage in then):
            self.variables["nothing"] = "nonsense"

    def operator(self, **arguments: Any) -> RunWorkflowOperator:
        """Return a new operator, as each execution has its own."""
        defaults: dict[str, Any] = {
            "task_id": "task",
            "retries": 2,
            "variables": self.variables,
            "poll_interval": 0.05,
            "recovery_timeout": 0.4,
            "run_timeout": 60.0,
        }
        if "workflow_name" not in arguments:
            defaults["workflow_id"] = self.id
        return RunWorkflowOperator(**(defaults | arguments))

    def task(self, *, life: type[TaskLife] = TaskLife, names: dict[str, Any] | None = None, **arguments: Any) -> Any:
        """
        Return the life of a task that makes this payout.

        :param names: of DAG, run and task, and the map index.
        :param arguments: of the operator.
        """
        return life(lambda: self.operator(**arguments), **(names or {}))

    def runs(self) -> list[dict[str, Any]]:
        """Return every run of the workflow that was ever started: instance and variables."""
        return [run for run in self.emulator.runs() if run["workflow"] == self.id]

    def instances(self) -> list[str]:
        """Return the instances that there ever were, the oldest first."""
        return [run["instance"] for run in self.runs()]

    def money(self) -> int:
        """Return what the payee has received, after what is under way has ended or come to its second stage."""

        def all_past_payment() -> bool:
            return all(self.is_past_payment(instance) for instance in self.instances())

        wait_for(all_past_payment)
        return int(self.emulator.account("default", self.payee)["balances"].get("EUR/2", 0))

    def is_past_payment(self, instance_id: str) -> bool:
        """Whether the first stage of an instance has ended."""
        instance = self.hook.get_instance(instance_id)
        return bool(instance.status) and instance.status[0].terminated_at is not None

    def payments_by_key(self) -> dict[str, int]:
        """Return how many transactions of the ledger bear each run key."""
        keys: dict[str, int] = {}
        for transaction in self.emulator.transactions():
            if any(posting["destination"] == self.payee for posting in transaction["postings"]):
                key = transaction["metadata"].get("airflow", "")
                keys[key] = keys.get(key, 0) + 1
        return keys

    def has_succeeded(self, instance_id: str) -> bool:
        """Whether an instance has ended without an error."""
        instance = self.hook.get_instance(instance_id)
        return instance.terminated and not instance.error

    def approve(self, instance_id: str) -> None:
        """Let the instance go on that waits for an approval."""
        wait_for(lambda: self.waits(instance_id))
        self.hook.send_event(instance_id, "approved")

    def waits(self, instance_id: str) -> bool:
        """Whether an instance is in its second stage, and listens."""
        instance = self.hook.get_instance(instance_id)
        return len(instance.status) == 2 and len(self.hook.get_instance_history(instance_id)) == 2


def assert_paid_once(payout: Payout, life: TaskLife) -> None:
    """Assert: one instance, the money moved once, the task is green, and its instance is known to have succeeded."""
    assert life.state == "success", life.error
    (instance,) = payout.instances()
    assert life.xcoms["instance_id"] == instance
    assert payout.has_succeeded(instance)
    assert_money(payout, 1)


def assert_money(payout: Payout, times: int) -> None:
    """Assert that the money moved so many times, once for each run key that was ever sent."""
    assert payout.money() == times * AMOUNT
    if payout.recoverable:
        assert sorted(payout.payments_by_key().values()) == [1] * times


def assert_final(life: TaskLife, *texts: str) -> None:
    """Assert: the task failed in this very try, without an Airflow retry, and message and log tell so much."""
    from airflow.sdk.exceptions import AirflowFailException

    assert life.state == "failed"
    assert isinstance(life.error, AirflowFailException), repr(life.error)
    for text in texts:
        assert text in told(life.error)


def assert_unknown(payout: Payout, life: TaskLife, *, instances: int) -> None:
    """Assert: failed without a retry as unknown, tells what a person needs, and looking again submits nothing."""
    assert life.record is not None
    ways_on = ("airflow formance adopt", "airflow formance forget", "clear the task to look again")
    assert_final(life, life.record["run_key"], *ways_on, *(f"{instance} of " for instance in payout.instances()))
    assert len(payout.instances()) == instances
    assert life.record["phase"] == "unknown"


@contextlib.contextmanager
def in_the_background(function: Callable[[], object]) -> Iterator[None]:
    """Run a function beside the block; what it raises is raised when both have ended."""
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(function)
        yield
        future.result(60)
