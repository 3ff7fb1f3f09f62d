"""What the clear after a decision does: the task's life goes on with the record that the command wrote."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from tests.support.flows import delay, send, unique
from tests.support.task_life import TaskLife, told
from tests.unit.cli.conftest import KEY


class Payment:
    """A task of which is not known whether it was submitted, and the person who decides about it."""

    def __init__(self, flows, airflow_rest, decide, *, accepted: bool, deferrable: bool) -> None:
        self.payee = unique("payee")
        self.workflow_id = flows.workflow(delay(0.5), send(self.payee, amount="${amount}", key=False)).id
        self.amount = "100"
        self.flows, self._airflow, self._decide = flows, airflow_rest, decide
        dag_id, run_id, task_id, map_index = KEY
        self.life = TaskLife(
            lambda: RunWorkflowOperator(
                task_id=task_id,
                workflow_id=self.workflow_id,
                variables={"amount": self.amount},
                deferrable=deferrable,
                poll_interval=0.1,
                run_timeout=60.0,
                retries=2,
            ),
            dag_id=dag_id,
            run_id=run_id,
            task_id=task_id,
            map_index=map_index,
        )
        flows.emulator.fault("run_workflow", "status_after" if accepted else "status", status=502)
        assert self.life.execute_to_end() == "failed"
        assert "airflow formance adopt" in told(self.life.error)

    @property
    def instances(self) -> list[str]:
        return [run["instance"] for run in self.flows.runs_of(self.workflow_id)]

    def decide(self, *what: str) -> None:
        self._airflow.add_task(KEY, self.life.record, max_tries=self.life.max_tries)
        assert self._decide(*what).json["written"] is True
        self.life.store.rows["formance_run"] = self._airflow.records[KEY]

    def clear(self) -> str:
        self.life.clear()
        return self.life.execute_to_end()


@pytest.fixture(params=[True, False], ids=["deferrable", "waiting"])
def payment(request, flows, airflow_rest, decide, impatient):
    return lambda accepted: Payment(flows, airflow_rest, decide, accepted=accepted, deferrable=request.param)


def test_an_adopted_run_is_taken_over(payment, flows):
    task = payment(accepted=True)
    assert task.clear() == "failed", "a clear alone decides nothing"
    task.decide("adopt", "--instance-id", task.instances[0])
    assert task.clear() == "success"
    assert len(task.instances) == 1
    assert flows.balance(task.payee) == 100
    assert task.life.result["instance_id"] == task.instances[0]
    assert [one["what"] for one in task.life.record["decisions"]] == ["adopt"]


def test_an_adopted_run_that_was_for_something_else_is_refused(payment, flows):
    task = payment(accepted=True)
    task.decide("adopt", "--instance-id", task.instances[0])
    task.amount = "200"
    assert task.clear() == "failed"
    assert "differs in variables.amount" in told(task.life.error)
    assert len(task.instances) == 1


def test_a_forgotten_run_is_submitted_again(payment, flows):
    task = payment(accepted=False)
    task.decide("forget")
    assert task.clear() == "success"
    assert len(task.instances) == 1
    assert flows.balance(task.payee) == 100
    assert [one["state"] for one in task.life.record["earlier"]] == ["forgotten"]
    assert [one["what"] for one in task.life.record["decisions"]] == ["forget"]


def test_without_its_record_an_adopted_run_is_taken_over_whatever_is_asked_for_but_once(payment, said):
    task = payment(accepted=True)
    del task.life.store.rows["formance_run"]
    task.decide("adopt", "--instance-id", task.instances[0])
    assert task.clear() == "success"
    assert said.having(f"taken over: instance {task.instances[0]} which a person adopted", "warning")
    assert not said.having("of run key", "warning")
    assert len(task.instances) == 1
    # From then on it is known what it was for.
    assert task.life.record["digest"].keys() == {"workflow", "run_key_name", "variables.amount"}
    task.amount = "200"
    assert task.clear() == "failed"
    assert "differs in variables.amount" in told(task.life.error)
    assert len(task.instances) == 1
