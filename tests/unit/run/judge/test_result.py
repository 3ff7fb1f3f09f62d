"""What a finished run gives to XCom."""

from __future__ import annotations

import json
import logging

import pytest

from airflow_provider_orchestration.api.models import Activity, Instance
from airflow_provider_orchestration.run.judge.outcome import Outcome, State, judge
from airflow_provider_orchestration.run.judge.result import _transactions, result_of, with_transactions
from tests.support.flows import FAILS, delay, send, wait_event
from tests.support.recorded import recorded
from tests.support.things import activity, instance, status

log = logging.getLogger(__name__)


def test_a_recorded_instance():
    answer = recorded(Instance)["72 after event"]
    assert answer.workflow is not None
    result = result_of(answer, judge(answer), run_key="d/r/t@1")
    assert result == {
        "instance_id": answer.id,
        "workflow_id": answer.workflow_id,
        "workflow_name": answer.workflow.name,
        "state": "succeeded",
        "error": None,
        "run_key": "d/r/t@1",
        "created_at": answer.created_at.isoformat(),
        "terminated_at": answer.terminated_at.isoformat() if answer.terminated_at else "missing",
        "stages": [
            {
                "stage": number,
                "kind": kind,
                "started_at": stage.started_at.isoformat(),
                "terminated_at": stage.terminated_at.isoformat() if stage.terminated_at else "missing",
                "error": None,
            }
            for (number, kind), stage in zip(enumerate(["wait_event", "noop"]), answer.status, strict=True)
        ],
        "transactions": None,
        "taken_over": False,
    }


@pytest.mark.parametrize(("case", "answer"), recorded(Instance).items(), ids=lambda part: part or "")
def test_every_recorded_instance_gives_json(case, answer):
    result = result_of(answer, judge(answer))
    assert json.loads(json.dumps(result)) == result
    assert result["state"] == judge(answer).state


def test_what_is_not_known_is_none():
    result = result_of(
        instance(status(3, error="boom"), stages=None, terminated=True), Outcome(State.FAILED, 3, "boom")
    )
    assert (result["workflow_name"], result["terminated_at"], result["error"]) == (None, None, "boom")
    assert [(stage["stage"], stage["kind"], stage["error"]) for stage in result["stages"]] == [(3, None, "boom")]


def test_recorded_transactions_have_amounts_as_texts():
    found = {case: list(_transactions(2, told)) for case, told in recorded(list[Activity]).items()}
    (made,) = found["107 sh"]
    assert made == {
        "stage": 2,
        "ledger": "default",
        "id": 1,
        "timestamp": "2026-11-23T18:04:13.01078Z",
        "metadata": {},
        "postings": [{"amount": "100", "asset": "EUR/2", "destination": "alice", "source": "world"}],
    }
    assert found["194 sh"][0]["metadata"] == {"airflow": "dag/run/1"}
    # Those that failed, or are tried again and again, have made none.
    assert {case for case, transactions in found.items() if transactions} == {"107 sh", "194 sh"}


@pytest.mark.parametrize("amount", [0, 100, 2**53 + 1, 2**64, 10**30])
def test_no_amount_loses_a_digit(amount):
    made = {"data": [{"id": 1, "postings": [{"amount": amount, "asset": "BTC/8"}]}]}
    (transaction,) = _transactions(0, [activity(terminated=True, output={"CreateTransaction": made})])
    assert transaction["postings"][0]["amount"] == str(amount)
    assert transaction["ledger"] is None


@pytest.mark.parametrize(
    ("output", "ids"),
    [
        (None, []),
        ({}, []),
        ({"CreateTransaction": None}, []),
        ({"CreateTransaction": {"data": None}}, []),
        ({"CreateTransaction": {"data": {"txid": 7}}}, [7]),
        ({"CreateTransaction": {"data": [{"id": 1}, {"id": 2, "postings": None, "metadata": None}]}}, [1, 2]),
        ({"AddAccountMetadata": {"data": [1]}}, []),
    ],
)
def test_odd_outputs(output, ids):
    transactions = list(_transactions(0, [activity(terminated=True, output=output)]))
    assert [transaction["id"] for transaction in transactions] == ids


def test_the_transactions_of_all_stages_that_send(flows):
    instance_id = flows.run(send("a", amount="12"), delay(0.1), send("b", source="a", amount="${amount}"), amount="5")
    ended = flows.ended(instance_id)
    flows.emulator.reset_counters()
    result = with_transactions(result_of(ended, judge(ended)), flows.client, log)
    assert [(one["stage"], one["postings"]) for one in result["transactions"]] == [
        (0, [{"source": "world", "destination": "a", "amount": "12", "asset": "EUR/2"}]),
        (2, [{"source": "a", "destination": "b", "amount": "5", "asset": "EUR/2"}]),
    ]
    assert flows.asked("get_instance_stage_history") == 2
    assert json.loads(json.dumps(result)) == result


def test_a_run_that_failed_tells_what_it_moved_before(flows):
    ended = flows.ended(flows.run(send("a"), FAILS, amount="many"))
    result = with_transactions(result_of(ended, judge(ended)), flows.client, log)
    assert result["state"] == "failed"
    assert [one["stage"] for one in result["transactions"]] == [0]


def test_transactions_that_cannot_be_read_are_not_none_made(flows, caplog):
    ended = flows.ended(flows.run(send("a")))
    flows.emulator.engine(ended.id, "purge_history")
    result = with_transactions(result_of(ended, judge(ended)), flows.client, log)
    assert (result["state"], result["transactions"]) == ("succeeded", None)
    assert "the transactions of stage 1 cannot be read" in caplog.text


def test_a_run_that_moves_nothing_has_no_transactions(flows):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.client.send_event(instance_id, "go")
    ended = flows.ended(instance_id)
    flows.emulator.reset_counters()
    assert with_transactions(result_of(ended, judge(ended)), flows.client, log)["transactions"] == []
    assert flows.asked("get_instance_stage_history") == 0
