"""Each example DAG on a real Airflow: what it shows is what happens."""

from __future__ import annotations

import uuid


def balance(emulator, account: str) -> int:
    return int(emulator.account("default", account)["balances"].get("EUR/2", 0))


def test_payout_with_approval(start_dag, emulator):
    order, payee = uuid.uuid4().hex, f"users:{uuid.uuid4().hex}"
    run = start_dag("payout_with_approval", {"order": order, "payee": payee, "amount": 1000})
    assert run.wait(120) == "success", run.states
    assert set(run.states.values()) == {"success"}
    result = run.xcom("pay")
    assert result["state"] == "succeeded"
    assert result["instance_id"] == run.xcom("pay", "instance_id")
    assert [stage["kind"] for stage in result["stages"]] == ["send", "wait_event", "send"]
    assert [one["postings"][0]["amount"] for one in result["transactions"]] == ["1000", "1000"]
    assert result["transactions"][0]["metadata"]["airflow"] == result["run_key"]
    assert run.xcom("approve")["stage"] == 1
    assert (balance(emulator, f"orders:{order}"), balance(emulator, payee)) == (0, 1000)
    log = run.log("pay")
    for line in ("submitting workflow 'payout_with_approval'", "stage 2/3 wait_event 'approved'", "succeeded"):
        assert line in log


def test_mapped_payouts(start_dag, emulator):
    before = {name: balance(emulator, f"users:{name}") for name in ("alice", "bob", "carol")}
    run = start_dag("mapped_payouts")
    assert run.wait(150) == "success", run.states
    paid = {name: balance(emulator, f"users:{name}") - before[name] for name in before}
    assert paid == {"alice": 1250, "bob": 990, "carol": 40000}
    keys = [run.xcom("pay", map_index=index)["run_key"] for index in range(3)]
    names = [key.rpartition("@")[0].rpartition("/")[2] for key in keys]
    assert names == ["pay[0]:2026-001", "pay[1]:2026-002", "pay[2]:2026-003"]


def test_wait_for_instance(start_dag):
    run = start_dag("wait_for_instance")
    assert run.wait(120) == "success", run.states
    instance_id = run.xcom("somebody_else")
    assert run.xcom("wait")["instance_id"] == instance_id
    assert run.xcom("report") == f"instance {instance_id} succeeded"


def test_run_with_deadline(start_dag, emulator):
    run = start_dag("run_with_deadline")
    run.wait(150)
    assert run.states == {"deploy": "success", "pay": "failed", "give_up": "success"}
    # One try, but for a resume that Airflow itself has lost: its retry takes the instance over.
    log = run.log("pay", run.task("pay")["try_number"])
    for text in ("run_timeout of 4 seconds passed; it was asked to cancel, and still runs", "goes on"):
        assert text in log
    given_up = run.xcom("give_up")
    assert (given_up["state"], given_up["cancel_asked"]) == ("running", True)
    instance_id = run.xcom("pay", "instance_id")
    assert instance_id == given_up["instance_id"]
    workflow_id = run.xcom("deploy")
    assert [one["instance"] for one in emulator.runs() if one["workflow"] == workflow_id] == [instance_id]
    # It goes on, as was said; end it, as only the engine can.
    emulator.engine(instance_id, "terminate")
