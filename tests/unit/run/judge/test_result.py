"""What a finished run gives to XCom."""

from __future__ import annotations

import json
import logging

import pytest

from airflow_provider_orchestration.api.models import Activity, Instance
from airflow_provider_orchestration.run.judge.outcome import Outcome, State, judge
from airflow_provider_orchestration.run.judge.result import _transactions, result_of, with_transactions
from airflow_provider_orchestration.run.money import exact_amounts
from tests.support.flows import FAILS, delay, send, unique, wait_event
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
    found = {case: _transactions(2, told, None) for case, told in recorded(list[Activity]).items()}
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


def told(*amounts: object) -> list[Activity]:
    """The history of a stage that made one transaction of so many postings."""
    postings = [{"amount": amount, "asset": "ETH/18"} for amount in amounts]
    return [activity(terminated=True, output={"CreateTransaction": {"data": [{"id": 1, "postings": postings}]}})]


@pytest.mark.parametrize(
    ("said", "exact", "amount"),
    [
        (0, None, "0"),
        (2**53 - 1, None, "9007199254740991"),
        # From here on two whole numbers can be the same float.
        (2**53, None, None),
        (10**18, None, None),
        (1.0e40, None, None),
        (10**18, 10**18 + 1, "1000000000000000001"),
        (1.2345678901234568e29, 123456789012345678901234567890, "123456789012345678901234567890"),
        # What is said to be known is not what moved.
        (10**18, 10**18 + 1000, None),
        ("x", 5, None),
        (None, None, None),
    ],
)
def test_an_amount_is_told_only_where_it_is_exact(said, exact, amount):
    (transaction,) = _transactions(0, told(said), exact)
    (posting,) = transaction["postings"]
    assert posting["amount"] == amount
    assert posting.get("amount_rounded") == (None if amount else str(said))
    assert transaction["ledger"] is None


def test_of_several_postings_none_is_proven_by_the_amount_of_their_stage():
    (transaction,) = _transactions(0, told(10**18, 10**18), 10**18)
    assert [posting["amount"] for posting in transaction["postings"]] == [None, None]


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
    transactions = _transactions(0, [activity(terminated=True, output=output)], None)
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
    assert "the transactions of stage 1/1 cannot be read" in caplog.text


def test_a_run_that_moves_nothing_has_no_transactions(flows):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.client.send_event(instance_id, "go")
    ended = flows.ended(instance_id)
    flows.emulator.reset_counters()
    assert with_transactions(result_of(ended, judge(ended)), flows.client, log)["transactions"] == []
    assert flows.asked("get_instance_stage_history") == 0


@pytest.mark.parametrize("amount", [str(10**18 + 1), "123456789012345678901234567890"])
def test_what_the_histories_round_is_proven_by_definition_and_variables_or_said_to_be_rounded(flows, caplog, amount):
    payee = f"users:{unique('payee')}"
    ended = flows.ended(flows.run(send("a", amount="${amount}"), send(payee, amount=amount), amount=amount))
    unproven = with_transactions(result_of(ended, judge(ended)), flows.client, log)
    assert [one["postings"][0]["amount"] for one in unproven["transactions"]] == [None, None]
    rounded = {float(one["postings"][0]["amount_rounded"]) for one in unproven["transactions"]}
    assert rounded == {float(amount)}
    assert caplog.text.count("the histories of Flows round amounts from 2^53 on") == 1
    for variables, known in ((None, [None, amount]), ({"amount": amount}, [amount, amount])):
        amounts = exact_amounts(ended.workflow, variables)
        result = with_transactions(result_of(ended, judge(ended)), flows.client, log, amounts)
        assert [one["postings"][0]["amount"] for one in result["transactions"]] == known
    assert flows.emulator.account("default", payee)["balances"]["EUR/2"] == int(amount)
