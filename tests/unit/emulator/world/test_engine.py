"""The life of an instance, with a clock that the test sets."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_orchestration.emulator.go.golang import NANOSECONDS, format_time
from airflow_provider_orchestration.emulator.world.engine import Pace
from tests.unit.emulator.conftest import START, Lab, send

NOOP: dict[str, Any] = {"noop": {}}


def test_a_stage_appears_then_listens_then_ends(lab):
    instance = lab.run(NOOP)
    lab.pass_time(0.1)
    assert instance.begun
    assert instance.stages == []
    lab.pass_time(0.2)
    assert [stage.run for stage in instance.stages] == [None]
    lab.pass_time(0.22)
    assert lab.history(instance)[0]["terminated"] is False
    lab.pass_time(1)
    assert lab.history(instance)[0]["terminated"] is True
    assert instance.terminated
    assert not instance.error
    assert instance.created_at < instance.stages[0].started_at < instance.stages[0].terminated_at
    assert instance.stages[0].terminated_at < instance.terminated_at


@pytest.mark.parametrize("stages", [None, []], ids=["null", "empty"])
def test_a_workflow_without_stages_succeeds_without_one(lab, stages):
    instance = lab.run()
    lab.state.workflows[instance.workflow_id].stages = stages
    lab.pass_time(1)
    assert instance.terminated
    assert "status" not in instance.show(stages=True)


def test_stages_come_one_after_another(lab):
    instance = lab.run(NOOP, NOOP, NOOP)
    lab.pass_time(10)
    ends = [(stage.started_at, stage.terminated_at) for stage in instance.stages]
    assert len(ends) == 3
    assert all(before[1] < after[0] for before, after in pairwise(ends))


@pytest.mark.parametrize(
    "delay, seconds",
    [({"duration": "8s"}, 8), ({"duration": "1m30s"}, 90), ({"until": format_time((START + 60) * NANOSECONDS, 9)}, 59)],
)
def test_a_delay_takes_its_time(lab, delay, seconds):
    instance = lab.run({"delay": delay})
    lab.pass_time(seconds - 0.5)
    assert not lab.history(instance)[0]["terminated"]
    lab.pass_time(2)
    assert instance.terminated


@pytest.mark.parametrize("delay", [{"duration": "-5s"}, {"duration": "${none}"}, {"until": "2020-01-01T00:00:00Z"}])
def test_a_delay_of_nothing_ends_at_once(lab, delay):
    instance = lab.run({"delay": delay})
    lab.pass_time(1)
    assert instance.terminated
    assert not instance.error


def test_the_time_scale_scales_everything():
    lab = Lab(Pace(time_scale=0.1))
    instance = lab.run({"delay": {"duration": "100s"}})
    lab.pass_time(10)
    assert not instance.terminated
    lab.pass_time(0.2)
    assert instance.terminated


def test_a_send_moves_money_and_shows_it(lab):
    instance = lab.run(send("${amount}", metadata={"key": "${key}"}), amount="100", key="k")
    lab.pass_time(2)
    assert instance.terminated
    assert not instance.error
    assert lab.state.ledger("default").account("alice").balances() == {"EUR/2": 100}
    assert lab.state.ledger("default").account("world").balances() == {"EUR/2": -100}
    (activity,) = lab.activities(instance)
    assert activity["input"]["CreateTransaction"]["Data"]["metadata"] == {"key": "k"}
    (transaction,) = activity["output"]["CreateTransaction"]["data"]
    assert (transaction["txid"], transaction["metadata"], transaction["reverted"]) == (1, {"key": "k"}, False)
    assert lab.history(instance)[0]["input"]["amount"] == {"amount": 100, "asset": "EUR/2"}


def test_a_send_without_funds_is_tried_for_ever_with_growing_pauses(lab):
    instance = lab.run(send(source="poor"))
    pauses = []
    lab.pass_time(0.6)
    for attempt in range(2, 12):
        (activity,) = lab.activities(instance)
        assert activity["attempt"] == attempt
        assert activity["lastFailure"].endswith("account(s) @poor had/have insufficient funds")
        assert activity["nextExecution"]
        pauses.append((instance.due - lab.now) / NANOSECONDS)
        lab.pass_time(pauses[-1] + 0.001)
    assert [round(pause) for pause in pauses] == [1, 2, 4, 8, 16, 32, 64, 100, 100, 100]
    assert not instance.terminated
    assert instance.show() == {**instance.show(), "terminated": False}
    assert "error" not in instance.show(stages=True)


def test_a_send_goes_on_when_the_money_is_there(lab):
    instance = lab.run(send(source="poor"))
    lab.pass_time(5)
    lab.run(send(destination="poor"))
    lab.pass_time(10)
    assert instance.terminated
    assert not instance.error
    (activity,) = lab.activities(instance)
    assert "lastFailure" not in activity
    assert activity["attempt"] > 1


def test_a_missing_ledger_is_waited_for(lab):
    account = {"id": "bank", "ledger": "other"}
    stage = send()
    stage["send"] |= {"source": {"account": {**account, "id": "world"}}, "destination": {"account": account}}
    instance = lab.run(stage)
    lab.pass_time(5)
    assert lab.activities(instance)[0]["lastFailure"] == "not found"
    lab.state.ledger("other")
    lab.pass_time(10)
    assert instance.terminated
    assert lab.state.ledger("other").account("bank").balances() == {"EUR/2": 100}


def test_money_goes_from_ledger_to_ledger_through_the_world(lab):
    lab.state.ledger("other")
    stage = send()
    stage["send"]["destination"] = {"account": {"id": "bob", "ledger": "other"}}
    instance = lab.run(stage)
    lab.pass_time(5)
    first, second = lab.activities(instance)
    assert first["input"]["CreateTransaction"]["Data"]["metadata"] == {"orchestration/move-to-ledger": "other"}
    assert second["input"]["CreateTransaction"]["Data"]["metadata"] == {"orchestration/move-from-ledger": "default"}
    assert lab.state.ledger("other").account("bob").balances() == {"EUR/2": 100}
    assert lab.state.ledger("default").account("bob").balances() == {}


@pytest.mark.parametrize(
    "stage, error",
    [
        (send(""), "no amount defined"),
        (send("-1"), "negative amount"),
        (send(destination="not an account"), "invalid destination address"),
        (send(amount={"amount": "1", "asset": "euro"}), None),
    ],
)
def test_what_the_ledger_refuses_fails_at_once(lab, stage, error):
    if error is None:
        stage["send"]["amount"] = {"amount": "1", "asset": "euro"}
        error = "invalid asset"
    instance = lab.run(stage)
    lab.pass_time(2)
    assert instance.terminated
    assert instance.error == instance.stages[0].error == error
    assert lab.history(instance)[0]["error"] == "activity error"
    (activity,) = lab.activities(instance)
    assert (activity["error"], activity["attempt"], activity["terminated"]) == (error, 1, True)
    assert lab.state.ledger("default").transactions == []


def test_a_send_without_an_amount_fails_before_it_tries(lab):
    stage = send()
    del stage["send"]["amount"]
    instance = lab.run(stage)
    lab.pass_time(2)
    assert instance.error == "amount must be specified"
    assert lab.history(instance)[0]["error"] == "amount must be specified"
    assert lab.activities(instance) == []


@pytest.mark.parametrize("end", ["source", "destination"])
@pytest.mark.parametrize("service, value", [("wallet", {"id": "w"}), ("payment", {"id": "p", "psp": "stripe"})])
def test_wallets_and_payments_are_not_there(lab, end, service, value):
    stage = send()
    stage["send"][end] = {service: value}
    instance = lab.run(stage)
    lab.pass_time(2)
    assert instance.error == f"the emulator has no {service}s: a send's {end} must be an account"


def test_an_update_writes_metadata(lab):
    instance = lab.run({"update": {"account": {"id": "alice", "ledger": "default", "metadata": {"k": "${v}"}}}}, v="1")
    lab.pass_time(2)
    assert instance.terminated
    assert lab.state.ledger("default").account("alice").metadata == {"k": "1"}
    (activity,) = lab.activities(instance)
    assert activity["name"] == "AddAccountMetadata"
    assert "output" not in activity


def test_the_first_stage_that_fails_ends_the_instance(lab):
    instance = lab.run(NOOP, {"wait_event": {"event": "${none}"}}, NOOP)
    lab.pass_time(5)
    assert instance.terminated
    assert instance.error == "Key: 'WaitEvent.Event' Error:Field validation for 'Event' failed on the 'required' tag"
    assert [stage.error for stage in instance.stages] == [None, instance.error]
    assert len(lab.history(instance)) == 1


def test_large_amounts_are_exact_in_the_ledger_and_as_a_float_can_hold_them_in_the_history(lab):
    instance = lab.run(send("123456789012345678901234567890"))
    lab.pass_time(2)
    assert lab.state.ledger("default").account("alice").balances() == {"EUR/2": 123456789012345678901234567890}
    assert lab.history(instance)[0]["input"]["amount"]["amount"] == 1.2345678901234568e29


def test_without_a_worker_nothing_moves_and_afterwards_everything_goes_on(lab):
    before = lab.run({"delay": {"duration": "1s"}})
    lab.pass_time(0.6)
    lab.timers.paused = True
    with pytest.raises(KeyError):
        lab.run(NOOP)
    lab.pass_time(60)
    assert not before.terminated
    assert len(lab.state.instances) == 1
    lab.timers.paused = False
    lab.pass_time(5)
    assert [instance.terminated for instance in lab.state.instances.values()] == [True, True]
    assert not lab.state.starts
