"""`airflow formance` on a real Airflow: a person decides about a run that is not known, and the clear goes by it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.support.flows import delay, send, unique, wait_event

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tests.support.airflow_runs import Run


@pytest.fixture
def formance(airflow):
    """Return a function that runs `airflow formance ARGUMENTS`."""

    def run(*arguments: str) -> CompletedProcess[str]:
        ended: CompletedProcess[str] = airflow.airflow("formance", *arguments)
        return ended

    return run


def as_json(ended: CompletedProcess[str]) -> Any:
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def refusal(ended: CompletedProcess[str]) -> str:
    assert ended.returncode == 1
    assert ended.stdout == ""
    return ended.stderr.splitlines()[-1]


def instances(emulator, workflow_id: str) -> list[str]:
    return [run["instance"] for run in emulator.runs() if run["workflow"] == workflow_id]


def start_unknown(start_dag, emulator, dag_id: str, workflow_id: str, fault: str) -> Run:
    """Run a DAG of which one submission is answered by a gateway, with or without having taken effect."""
    emulator.fault("run_workflow", fault, status=502)
    run: Run = start_dag(dag_id, {"workflow_id": workflow_id})
    assert run.wait() == "failed"
    return run


def test_adopt_then_clear(airflow, emulator, flows, start_dag, formance):
    payee = unique("payee")
    workflow = flows.create_workflow({"name": "not recoverable", "stages": [delay(0.5), send(payee, key=False)]}).id
    run = start_unknown(start_dag, emulator, "cli_pay", workflow, "status_after")
    (instance,) = instances(emulator, workflow)
    assert instance in run.log("pay"), "the message lists the candidates"
    assert run.task("pay")["try_number"] == 1

    (row,) = as_json(formance("runs", "--workflow-id", workflow, "-o", "json"))
    assert (row["dag_id"], row["run_id"], row["task_id"]) == ("cli_pay", run.run_id, "pay")
    assert (row["phase"], row["instance_id"], row["task_state"]) == ("unknown", None, "failed")
    assert [one["instance_id"] for one in row["candidates"]] == [instance]

    task = ("cli_pay", run.run_id, "pay")
    asked = formance("adopt", *task, "--instance-id", instance)
    assert refusal(asked).endswith("nothing was written"), "nobody answered"
    token = airflow.api._session.headers["Authorization"].removeprefix("Bearer ")
    adopted = as_json(formance("adopt", *task, "--instance-id", instance, "--yes", "--token", token, "-o", "json"))
    assert adopted["written"] is True
    (decision,) = run.record("pay")["decisions"]
    assert datetime.fromisoformat(decision.pop("when")).tzinfo is not None
    assert decision == {"what": "adopt", "who": "Anonymous", "instance_id": instance}
    path = f"/api/v2/dags/cli_pay/dagRuns/{quote(run.run_id)}/taskInstances/pay/state-store/formance_run"
    assert airflow.api._send("GET", path)["expires_at"] is None

    run.clear("pay")
    assert run.wait_for_task("pay", min_try=2)["state"] == "success"
    assert instances(emulator, workflow) == [instance]
    assert run.xcom("pay")["instance_id"] == instance
    assert emulator.account("default", payee)["balances"] == {"EUR/2": 100}

    (row,) = as_json(formance("runs", "--dag-id", "cli_pay", "--run-id", run.run_id, "-o", "json"))
    assert (row["phase"], row["instance_id"], row["instance_state"]) == ("ended", instance, "succeeded")
    assert [one["what"] for one in row["decisions"]] == ["adopt"]
    assert "submitting again would pay twice" in refusal(formance("forget", *task, "--yes"))
    assert instance in formance("runs", "--dag-id", "cli_pay").stdout


def test_forget_then_clear_of_one_mapped_task(emulator, flows, start_dag, formance):
    workflow = flows.create_workflow({"name": "not recoverable", "stages": [delay(0.1), delay(0.1)]}).id
    run = start_unknown(start_dag, emulator, "cli_pay_mapped", workflow, "status")
    assert len(instances(emulator, workflow)) == 1
    index = [run.states[f"pay[{number}]"] for number in (0, 1)].index("failed")
    assert run.states[f"pay[{1 - index}]"] == "success"

    forget = ("forget", "cli_pay_mapped", run.run_id, "pay", "--map-index", str(index), "--yes", "-o", "json")
    ended = formance(*forget)
    assert as_json(ended)["record"]["phase"] == "forgotten"
    assert "THE MONEY MOVES TWICE" in ended.stderr
    assert len(as_json(ended)["candidates"]) == 1, "that of the other index"
    assert run.record("pay", index)["decisions"][0]["what"] == "forget"

    run.clear("pay", map_index=index)
    assert run.wait_for_task("pay", map_index=index, min_try=2)["state"] == "success"
    assert len(instances(emulator, workflow)) == 2
    assert [one["state"] for one in run.record("pay", index)["earlier"]] == ["forgotten"]

    rows = as_json(formance("runs", "--workflow-id", workflow, "-o", "json"))
    assert sorted(row["instance_id"] for row in rows) == sorted(instances(emulator, workflow))


def test_refused_while_the_task_is_unfinished_or_the_instance_is_anothers(emulator, flows, start_dag, formance):
    workflow = flows.create_workflow({"name": "waits", "stages": [wait_event("go-${airflow_run_key}")]}).id
    run = start_dag("cli_pay", {"workflow_id": workflow})
    run.wait_for_task("pay", "deferred")
    (instance,) = instances(emulator, workflow)
    task = ("cli_pay", run.run_id, "pay")
    for what in (("forget", *task), ("adopt", *task, "--instance-id", instance)):
        assert f"{'/'.join(task)} is deferred: only a task that has ended" in refusal(formance(*what, "--yes"))

    other = start_unknown(start_dag, emulator, "cli_pay", flows.create_workflow({"stages": [delay(0.1)]}).id, "status")
    adopt = ("adopt", "cli_pay", other.run_id, "pay", "--instance-id", instance, "--yes")
    assert "cannot be adopted" in refusal(formance(*adopt))
    run.mark("pay", "success")


def test_what_it_is_called_and_what_it_takes(formance):
    assert "which instance belongs to which task" in formance("--help").stdout
    assert "--instance-id" in formance("adopt", "--help").stdout
