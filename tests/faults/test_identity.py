"""
Whose a run is: a place in a list is no identity, a name may be shared, and a record may be gone.

The same on a real Airflow: tests/e2e/test_identity.py.
"""

from __future__ import annotations

import itertools
import json
import uuid
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from airflow_provider_orchestration.run.bounds import LARGEST_RECORD
from airflow_provider_orchestration.run.record import Decision, RunRecord
from airflow_provider_orchestration.run.store import as_json
from airflow_provider_orchestration.run.submit.deciding import adopted, forgotten
from tests.faults.execution import SteppedLife
from tests.faults.payout import (
    AMOUNT,
    APPROVAL,
    KEY,
    assert_final,
    assert_money,
    assert_paid_once,
    assert_unknown,
    failing,
    in_the_background,
    mode,
    payment,
)
from tests.support.task_life import TaskLife, told

pytestmark = pytest.mark.faults
RUN = "formance_run"


class MappedPayouts:
    """One mapped task: what each index asks for is what stands at its place in the list."""

    def __init__(self, payout: Any, deferrable: bool, name_of: Any = None, key: str = KEY) -> None:
        self.pay = payout(APPROVAL)  # whose recoverable first stage is replaced by one that moves nothing
        self.payees = [f"users:{letter}{uuid.uuid4().hex}" for letter in "ab"]
        shows_key = {"update": {"account": {"id": "notes", "ledger": "default", "metadata": {"key": key}}}}
        self.name = f"payouts {uuid.uuid4().hex}"
        stages = [shows_key, APPROVAL, payment("${payee}", key=None)]
        self.workflow = self.pay.hook.create_workflow({"name": self.name, "stages": stages}).id

        def operator(index: int) -> Any:
            payee = self.payees[index]
            name = {} if name_of is None else {"run_key_name": name_of(payee)}
            return RunWorkflowOperator(
                task_id="task",
                workflow_name=self.name,
                variables={"payee": payee, "amount": str(AMOUNT)},
                poll_interval=0.05,
                run_timeout=60.0,
                deferrable=deferrable,
                retries=2,
                **name,
            )

        self.tasks = [
            SteppedLife(lambda index=index: operator(index), map_index=index)  # type: ignore[misc]
            for index in range(2)
        ]

    def begin(self, index: int) -> str:
        """Let an index submit, and come to where it waits; return its instance."""
        self.tasks[index].begin_waiting()
        instance: str = self.tasks[index].record["instance_id"]  # type: ignore[index]
        wait_for(lambda: len(self.pay.hook.get_instance_history(instance)) == 2)
        return instance

    def go_on(self, index: int, instance: str) -> str:
        """Approve an instance, and let its index come to its end."""
        self.pay.hook.send_event(instance, "approved")
        return self.end(index)

    def end(self, index: int) -> str:
        task = self.tasks[index]
        return task.finish(task.begin())

    def paid(self, payee: str) -> int:
        return int(self.pay.emulator.account("default", payee)["balances"].get("EUR/2", 0))

    def runs(self) -> list[dict[str, Any]]:
        return [run for run in self.pay.emulator.runs() if run["workflow"] == self.workflow]


@mode
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first index first", "second index first"])
def test_a_list_that_changed_its_order_is_cleared(payout, emulator, order, deferrable):
    """Index 0 failed before money moved, index 1 was paid, and both are cleared: nobody is paid twice."""
    mapped = MappedPayouts(payout, deferrable)
    first, second = (mapped.begin(index) for index in range(2))
    emulator.engine(first, "cancel")
    assert mapped.end(0) == "failed"
    assert mapped.go_on(1, second) == "success"
    paid, unpaid = mapped.payees[1], mapped.payees[0]
    mapped.payees.reverse()
    for index in order:
        mapped.tasks[index].clear()
        mapped.end(index)
        assert_final(mapped.tasks[index], "variables.payee", "may have been paid at another place", "new DAG run")
        assert mapped.tasks[index].xcoms["instance_id"] == (first, second)[index]
    assert "a place in a mapped list is no identity" in told(mapped.tasks[0].error)
    assert "run_key_name" in told(mapped.tasks[0].error)
    assert "(it has failed)" not in told(mapped.tasks[0].error), "it is dead"
    assert "(it has succeeded)" in str(mapped.tasks[1].error)
    assert (mapped.paid(paid), mapped.paid(unpaid)) == (AMOUNT, 0)
    # The list restored, what failed is submitted anew.
    mapped.payees.reverse()
    mapped.tasks[0].clear()
    mapped.begin(0)
    assert len(mapped.runs()) == 3


@mode
@pytest.mark.parametrize("how", ["refused by Flows", "refused before it was sent", "with names"])
def test_a_list_that_changed_its_order_where_nothing_was_ever_submitted_at_the_first_place(
    payout, emulator, how, deferrable
):
    """What is asked for there now may have been paid at another place, or it is a correction."""
    mapped = MappedPayouts(payout, deferrable, (lambda payee: payee) if how == "with names" else None)
    unpaid = mapped.payees[0]
    if how != "refused before it was sent":
        emulator.fault("run_workflow", "status", status=400)
        assert mapped.end(0) == "up_for_retry"
    else:
        mapped.payees[0] = "None"
        assert mapped.end(0) == "failed"
    second = mapped.begin(1)
    assert mapped.go_on(1, second) == "success"
    paid = mapped.payees[1]
    mapped.payees = [paid, unpaid]
    for task in mapped.tasks:
        task.clear()
    mapped.end(0)
    assert_final(mapped.tasks[0], "submitted at another place of its list", second, "run_key_name", "new DAG run")
    mapped.end(1)
    assert_final(mapped.tasks[1], "variables.payee")
    assert (mapped.paid(paid), mapped.paid(unpaid)) == (AMOUNT, 0)
    # A correction, of which nothing was submitted anywhere, is submitted.
    mapped.payees = [unpaid, paid]
    for index in range(2):
        mapped.tasks[index].clear()
    first = mapped.begin(0)
    assert mapped.go_on(0, first) == "success"
    assert mapped.end(1) == "success"
    assert (mapped.paid(paid), mapped.paid(unpaid)) == (AMOUNT, AMOUNT)


def test_a_name_that_all_places_share_and_a_list_that_changed_its_order(payout, emulator):
    """The shared name never differs: the key of the other place tells that it has paid."""
    mapped = MappedPayouts(payout, deferrable=False, name_of=lambda _payee: "INV-7")
    first, second = (mapped.begin(index) for index in range(2))
    emulator.engine(first, "cancel")
    assert mapped.end(0) == "failed"
    assert mapped.go_on(1, second) == "success"
    mapped.payees.reverse()
    mapped.tasks[0].clear()
    mapped.end(0)
    assert_final(mapped.tasks[0], "submitted at another place of its list", second)
    assert mapped.paid(mapped.payees[0]) == AMOUNT
    assert len(mapped.runs()) == 2


@pytest.mark.parametrize("key", ["run ${airflow_run_key}", "run-${airflow_run_key}"])
def test_a_list_that_changed_its_order_and_a_key_within_a_longer_text(payout, emulator, key):
    """Whose an instance is cannot be read, so neither can it be told that another place has not paid."""
    mapped = MappedPayouts(payout, deferrable=False, key=key)
    emulator.fault("run_workflow", "status", status=400)
    assert mapped.end(0) == "up_for_retry"
    assert mapped.go_on(1, mapped.begin(1)) == "success"
    mapped.payees.reverse()
    mapped.tasks[0].clear()
    mapped.end(0)
    assert_final(mapped.tasks[0], "cannot be told", "new DAG run")
    assert len(mapped.runs()) == 1


def test_a_record_removed_of_a_run_whose_history_the_engine_has_forgotten(payout, emulator, monkeypatch):
    monkeypatch.setattr("airflow_provider_orchestration.run.submit.recovery.HISTORY_BEGINS_WITHIN", -10.0)
    pay = payout()
    task = pay.task()
    assert task.execute_to_end() == "success"
    emulator.engine(pay.instances()[0], "purge_history")
    task.store.rows.clear()
    task.clear()
    task.execute_to_end()
    assert_unknown(pay, task, instances=1)


@mode
@pytest.mark.parametrize("shared", [True, False], ids=["one name for all", "a name each"])
def test_a_first_try_that_died_before_its_first_line_takes_nothing_of_its_sibling(payout, shared, deferrable):
    """Its retry has no record, and its sibling's instance bears the same name: green with nobody paid."""
    mapped = MappedPayouts(payout, deferrable, lambda payee: "INV-7" if shared else payee)
    first = mapped.begin(0)
    assert mapped.go_on(0, first) == "success"
    mapped.tasks[1].try_number = 1  # a template error: `execute` was not called
    second = mapped.begin(1)
    assert mapped.go_on(1, second) == "success"
    assert len({first, second}) == 2
    assert [mapped.paid(payee) for payee in mapped.payees] == [AMOUNT, AMOUNT]


def test_a_name_that_moved_to_another_place_of_the_list(payout, emulator):
    mapped = MappedPayouts(payout, deferrable=False, name_of=lambda payee: payee)
    first, second = (mapped.begin(index) for index in range(2))
    emulator.engine(first, "cancel")
    assert mapped.end(0) == "failed"
    assert mapped.go_on(1, second) == "success"
    mapped.payees.reverse()
    for index, removed in itertools.product(range(2), (False, True)):
        task = mapped.tasks[index]
        if removed:
            task.store.rows.clear()
        task.clear()
        mapped.end(index)
        assert_final(task, "not proven" if removed else "run_key_name")
    assert len(mapped.runs()) == 2


@pytest.mark.parametrize("name", ["", "None", None])
def test_a_name_that_renders_to_nothing_is_refused(payout, name):
    pay = payout()
    task = pay.task(run_key_name="{{ params.invoice }}")
    make = task.make_operator

    def rendered() -> Any:
        operator = make()
        operator.run_key_name = name
        return operator

    task.make_operator = rendered
    task.execute_to_end()
    assert_final(task, "run_key_name", "found nothing", "nothing was sent")
    assert pay.instances() == []


@pytest.mark.parametrize("name", [None, ""])
def test_a_name_that_a_mapped_list_does_not_have_is_refused(payout, name):
    pay = payout()
    task = pay.task(run_key_name=name, names={"map_index": 0})
    task.execute_to_end()
    assert_final(task, "run_key_name is None")
    # Outside of a list it means to give none.
    alone = pay.task(run_key_name=None)
    assert alone.execute_to_end() == "success"


@mode
@pytest.mark.parametrize("how", ["as it was", "Airflow's clock ahead", "deployed anew", "both"])
@pytest.mark.parametrize("ended", [True, False], ids=["ended", "at work"])
def test_a_record_removed_by_hand_and_then_a_clear(payout, how, ended, deferrable):
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=deferrable, workflow_name=pay.name)
    task.begin_waiting().kill()
    instance = pay.instances()[0]
    wait_for(lambda: pay.is_past_payment(instance))  # before, there is no history, and so no key to be seen
    if ended:
        pay.approve(instance)
        task.lose()
        assert task.finish(task.begin()) == "success"
    task.store.rows.clear()
    if how in ("Airflow's clock ahead", "both"):
        task.dag_run.run_after += timedelta(seconds=60)
        task.dag_run.start_date = task.dag_run.run_after
    if how in ("deployed anew", "both"):
        anew = payout(APPROVAL, name=pay.name)
        assert anew.id != pay.id
    task.clear()
    if ended:
        task.finish(task.begin())
    else:
        with in_the_background(lambda: pay.approve(instance)):
            task.finish(task.begin())
    assert_paid_once(pay, task)
    assert task.record["workflow_id"] == pay.id


@mode
@pytest.mark.parametrize("failed", [True, False], ids=["failed", "at work"])
def test_the_instance_is_told_also_where_the_task_is_refused(payout, failed, deferrable):
    """The task that cancels it comes after this one, and needs its id."""
    pay = payout(APPROVAL, failing("users:never"))
    task = pay.task(life=SteppedLife, deferrable=deferrable)
    task.begin_waiting().kill()
    if failed:
        pay.approve(pay.instances()[0])
        task.lose()
        task.finish(task.begin())
        task.finish(task.begin())  # a retry that comes all the same
        assert_final(task, "stage 3/3 send")
    else:
        task.clear()
        pay.variables = {**pay.variables, "amount": 2 * AMOUNT}
        task.finish(task.begin())
        assert_final(task, "variables.amount")
    assert task.xcoms["instance_id"] == pay.instances()[0]
    assert len(pay.instances()) == 1


@mode
@pytest.mark.parametrize("payee", ["None", "", "users:None"])
def test_money_goes_to_nobody_that_a_template_did_not_find(payout, emulator, payee, deferrable):
    pay = payout()
    workflow = pay.hook.create_workflow({"name": f"to {uuid.uuid4().hex}", "stages": [payment("${payee}")]}).id
    task = TaskLife(
        lambda: RunWorkflowOperator(
            task_id="task", workflow_id=workflow, variables={"payee": payee, "amount": "1"}, deferrable=deferrable
        )
    )
    task.execute_to_end()
    assert_final(task, f"payee = {payee!r}, which stands in stages[0].send.destination", "nothing was sent")
    assert "run_workflow" not in emulator.counters()["requests"]


@mode
def test_three_hundred_payments_are_a_record_that_people_can_decide_about(payout, deferrable):
    """Above 65,535 bytes Airflow's REST API refuses a record, and so would `adopt` and `forget`."""
    pay = payout(*(payment("users:many", amount="1", key=None) for _ in range(299)))
    many = {f"note_{number}": "x" * 20 for number in range(2000)}
    task = pay.task(deferrable=deferrable, variables={"amount": AMOUNT, **many})
    assert task.execute_to_end() == "success"
    assert len(task.result["transactions"]) == 300
    assert len(json.dumps(task.record)) <= LARGEST_RECORD
    assert "of 300 transactions" in task.record["result"]["cut"]
    task.clear()
    assert task.execute() == "success"
    assert len(task.result["transactions"]) == 300, "read anew"
    assert task.result["taken_over"] is True
    task.clear()
    task.make_operator = lambda: pay.operator(variables={"amount": AMOUNT, **many, "note_7": "y"})
    task.execute()
    assert_final(task, "variables (all 2001)")
    assert_money(pay, 1)


@pytest.mark.parametrize("key", [KEY, "none"], ids=["recoverable", "not recoverable"])
def test_with_a_name_of_its_own_a_failed_run_is_corrected(payout, emulator, key):
    mapped = MappedPayouts(payout, deferrable=False, name_of=lambda _payee: "INV-7", key=key)
    first = mapped.begin(0)
    emulator.engine(first, "cancel")
    assert mapped.end(0) == "failed"
    mapped.payees[0] = f"users:corrected{uuid.uuid4().hex}"
    mapped.tasks[0].clear()
    assert mapped.go_on(0, mapped.begin(0)) == "success"
    assert mapped.paid(mapped.payees[0]) == AMOUNT


@mode
@pytest.mark.parametrize("decision", ["adopt", "forget"])
def test_a_record_of_a_workflow_that_is_not_recoverable_is_removed_and_then_a_clear(payout, decision, deferrable):
    """No key tells whose its instances are, so a person decides: removing a record pays nobody twice by itself."""
    pay = payout(recoverable=False)
    task = pay.task(deferrable=deferrable)
    assert task.execute_to_end() == "success"
    (instance,) = pay.instances()
    task.store.rows.clear()
    for _ in range(2):
        task.clear()
        task.execute_to_end()
        assert_unknown(pay, task, instances=1)
    record = msgspec.convert(task.record, RunRecord)
    by = Decision(decision, "ann", "2026-01-01T00:00:00Z", instance)
    decided = (
        forgotten(record, by)
        if decision == "forget"
        else adopted(record, pay.hook.get_instance(instance), None, None, by)
    )
    task.store.rows[RUN] = as_json(decided)
    task.clear()
    assert task.execute_to_end() == "success"
    assert_money(pay, 2 if decision == "forget" else 1)


def test_a_first_try_that_died_of_a_workflow_that_is_not_recoverable_submits(payout):
    pay = payout(recoverable=False)
    task = pay.task()
    task.try_number = 1  # a template error: `execute` was not called
    assert task.execute_to_end() == "success"
    assert len(pay.instances()) == 1
