"""Which variables say where money goes, and which amounts are exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.exceptions import InvalidInputError
from airflow_provider_orchestration.run.money import amount_variables, check_money, exact_amounts, with_amount
from tests.support.flows import delay, send, wait_event
from tests.support.task_life import told
from tests.support.things import workflow

NOTHING = ["", " ", "None", "None ", "users:None", "users:", ":x", "users::x", "a:None:b"]
PLACES = {
    "stages[0].send.destination": send("users:${payee}"),
    "stages[0].send.source": send("a", source="${payee}"),
    "stages[0].send.amount": {"send": {"amount": {"amount": "${payee}", "asset": "EUR/2"}}},
    "stages[0].update.account": {"update": {"account": {"id": "${payee}", "ledger": "default", "metadata": {}}}},
}


@pytest.mark.parametrize("value", NOTHING)
@pytest.mark.parametrize(("place", "stage"), PLACES.items(), ids=PLACES)
def test_what_renders_to_nothing_is_refused_where_money_goes_by_it(place, stage, value):
    with pytest.raises(InvalidInputError) as caught:
        check_money(workflow(stage), {"payee": value})
    said = told(caught.value)
    assert f"payee = {value!r}, which stands in {place} as" in said
    assert "nothing was sent" in said


@pytest.mark.parametrize("value", ["alice", "users:42", "Nonesuch", "users:none", "0", "100"])
@pytest.mark.parametrize("stage", PLACES.values(), ids=PLACES)
def test_what_is_something_is_not(stage, value):
    check_money(workflow(stage), {"payee": value})


@pytest.mark.parametrize("value", ["", "None"])
def test_elsewhere_nothing_may_be_meant(value):
    note = {"send": {"metadata": {"note": "${note}"}}}
    account = {"update": {"account": {"id": "a", "ledger": "default", "metadata": {"note": "${note}"}}}}
    check_money(workflow(note, account, wait_event("go ${note}"), delay(1)), {"note": value, "other": value})


def test_all_that_are_wrong_are_named_once():
    stages = workflow(send("${payee}", amount="${amount}"), send("${payee}"))
    with pytest.raises(InvalidInputError) as caught:
        check_money(stages, {"payee": "None", "amount": ""})
    assert str(caught.value).count("payee = 'None'") == 1
    assert "amount = ''" in str(caught.value)


def test_variables_that_are_a_whole_amount():
    stages = workflow(send("a", amount="${a}"), send("b", amount="1${b}"), {"noop": {}}, {"send": {"amount": "x"}})
    assert amount_variables(stages) == {"a"}


@pytest.mark.parametrize(
    ("amount", "variables", "exact"),
    [
        ("12", None, 12),
        ("${a}", {"a": "12"}, 12),
        ("${a}00", {"a": "12"}, 1200),
        ("${a}", None, None),
        ("${a}", {"b": "12"}, None),
        ("${a}", {"a": "twelve"}, None),
        ("${a}", {"a": "-12"}, None),
        ("${a}", {"a": "9" * 300}, int("9" * 300)),
        ("${a}", {"a": "9" * 301}, None),
    ],
)
def test_what_definition_and_variables_prove(amount, variables, exact):
    assert exact_amounts(workflow(delay(1), send("b", amount=amount)), variables).get(1) == exact
    assert exact_amounts(None, variables) == {}


@given(st.integers(0, 10**40))
def test_an_amount_is_told_exactly_or_not_at_all(amount):
    said = int(float(amount))  # what comes of it on its way into a history
    known = with_amount({"amount": said}, amount)
    assert known == {"amount": str(amount)}
    unknown = with_amount({"amount": float(amount)}, None)
    assert unknown["amount"] in (None, str(amount))
    assert (unknown["amount"] is None) is (said >= 2**53)
