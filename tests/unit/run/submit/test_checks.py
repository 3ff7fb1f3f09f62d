"""What is refused, or warned of, before money moves."""

from __future__ import annotations

import decimal
import enum
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.exceptions import InvalidInputError
from airflow_provider_orchestration.run.submit.checks import as_strings, check_before_submit
from tests.support.flows import send, wait_event
from tests.support.task_life import told
from tests.support.things import workflow

log = logging.getLogger(__name__)
NAMES = st.text("abcxyz_0", min_size=1, max_size=5)


class Colour(enum.Enum):
    RED = "red"


class Amount(enum.IntEnum):
    TEN = 10


class Payee(enum.StrEnum):
    ALICE = "users:alice"


class OldPayee(str, enum.Enum):  # noqa: UP042 - what Python 3.10 wrote, and what str() spells otherwise
    ALICE = "users:alice"


class Rendered(str):
    """What Jinja gives, and some XComs: a text, and more."""

    __slots__ = ("more",)


@given(st.dictionaries(NAMES, st.text() | st.integers()))
def test_texts_and_whole_numbers_are_variables(variables):
    assert as_strings(variables) == {name: str(value) for name, value in variables.items()}


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_variables(nothing):
    assert as_strings(nothing) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Amount.TEN, "10"),
        (Payee.ALICE, "users:alice"),
        (OldPayee.ALICE, "users:alice"),
        (Rendered("x"), "x"),
        (10**40, "1" + "0" * 40),
        (-5, "-5"),
        ("", ""),
    ],
)
def test_kinds_of_texts_and_numbers_become_plain_texts(value, text):
    checked = as_strings({"amount": value})
    assert checked == {"amount": text}
    assert type(checked["amount"]) is str


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        10.0,
        float("nan"),
        1e3,
        decimal.Decimal(10),
        None,
        b"10",
        ["10"],
        {"a": "b"},
        ("10",),
        Colour.RED,
        pytest.param(object(), id="object"),
    ],
    ids=repr,
)
def test_other_kinds_are_refused_and_all_named(value):
    with pytest.raises(InvalidInputError) as caught:
        as_strings({"amount": value, "payee": "alice", "fee": 1.5})
    said = told(caught.value)
    assert f"amount = {value!r} is a {type(value).__name__}" in said
    assert "fee = 1.5 is a float" in said
    assert "payee" not in said
    assert "nothing was sent" in said


@pytest.mark.parametrize("variables", ["amount=10", ["amount", "10"], 10, [("amount", "10")]], ids=repr)
def test_what_is_no_mapping_is_refused(variables):
    with pytest.raises(InvalidInputError, match=f"mapping of names to strings, not {type(variables).__name__}"):
        as_strings(variables)


@pytest.mark.parametrize("name", [1, None, "", ("a",)], ids=repr)
def test_a_name_must_be_a_text(name):
    with pytest.raises(InvalidInputError, match="is not a string"):
        as_strings({name: "x"})


def test_a_deleted_workflow_is_refused_though_flows_would_run_it():
    with pytest.raises(InvalidInputError, match=r"'payout' \(w1\) was deleted at 2026-11-24.*nothing was sent"):
        check_before_submit(workflow(send(key=False), deletedAt="2026-11-24T00:00:00Z"), {}, log)


def test_missing_variables_are_all_named():
    stages = [send("${payee}", amount="${amount}"), wait_event("ok-${order}")]
    with pytest.raises(InvalidInputError) as caught:
        check_before_submit(workflow(*stages), {"order": "7"}, log)
    said = told(caught.value)
    assert "amount, payee missing" in said
    assert "${amount}, ${payee}" in said
    assert "given: order" in said
    with pytest.raises(InvalidInputError, match="missing") as caught:
        check_before_submit(workflow(*stages), {}, log)
    assert "given: none" in told(caught.value)


def test_the_run_key_is_never_missing_and_unknown_variables_are_only_warned_of(caplog):
    check_before_submit(workflow(send()), {"airflow_run_key": "k"}, log)
    assert not caplog.records
    check_before_submit(workflow(send(amount="${amount}")), {"amount": "1", "ammount": "2", "b": ""}, log)
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert "ammount, b" in warning.getMessage()


@pytest.mark.parametrize(
    ("amount", "warned"), [("1000", False), ("0", False), ("10.5", True), ("-5", True), ("1e3", True)]
)
def test_an_amount_that_is_no_whole_number_is_warned_of(caplog, amount, warned):
    asks = workflow({"send": {"amount": {"amount": "${amount}", "asset": "EUR/2"}, "metadata": {"note": "${note}"}}})
    check_before_submit(asks, {"amount": amount, "note": "10.5"}, log)
    what = "negative" if amount == "-5" else "no whole number of its asset's smallest unit"
    assert (f"amount = {amount!r} is an amount of the workflow, and {what}" in caplog.text) is warned
    assert "note" not in caplog.text


@pytest.mark.parametrize("value", [10**5000, [10**5000], {"a": 10**5000}], ids=["number", "list", "dict"])
def test_a_number_of_thousands_of_digits_is_refused_by_name(value):
    with pytest.raises(
        InvalidInputError, match=r"variables: amount (is a whole number of thousands|= \(too long).*nothing"
    ):
        as_strings({"amount": value, "payee": "alice"})
    with pytest.raises(InvalidInputError, match="too long to be shown"):
        as_strings([10**5000])


def test_what_is_refused_is_shown_in_short():
    with pytest.raises(InvalidInputError) as caught:
        as_strings({"amount": ["x" * 10_000]})
    assert len(str(caught.value)) < 600
