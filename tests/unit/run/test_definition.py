"""What a workflow asks for, and what is refused before money moves."""

from __future__ import annotations

import decimal
import enum
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.exceptions import InvalidInputError, NotFoundError
from airflow_provider_orchestration.run.definition import (
    as_strings,
    check_before_submit,
    find_workflow,
    is_recoverable,
    stages_of,
    strings_in,
    variables_of,
)
from tests.support.flows import delay, send, unique, wait_event
from tests.support.things import workflow

log = logging.getLogger(__name__)
NAMES = st.text("abcxyz_0", min_size=1, max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


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


@pytest.mark.parametrize(
    ("stage", "kind", "event", "text"),
    [
        (send(), "send", None, "send"),
        (wait_event("approved"), "wait_event", "approved", "wait_event 'approved'"),
        (wait_event("ok-${order}"), "wait_event", "ok-${order}", "wait_event 'ok-${order}'"),
        ({"wait_event": {}}, "wait_event", "", "wait_event ''"),
        (delay(8), "delay", None, "delay 8000ms"),
        ({"delay": {"until": "2027-01-01T00:00:00Z"}}, "delay", None, "delay 2027-01-01T00:00:00Z"),
        ({"delay": {}}, "delay", None, "delay"),
        ({"noop": None}, "noop", None, "noop"),
        ({"of tomorrow": {"a": 1}}, "of tomorrow", None, "of tomorrow"),
        ({}, "?", None, "?"),
    ],
)
def test_a_stage(stage, kind, event, text):
    (first, second) = stages_of(workflow(stage, send()))
    assert (first.number, first.kind, first.event, str(first)) == (0, kind, event, text)
    assert (second.number, second.kind) == (1, "send")


def test_no_definition_and_no_stages_are_no_stages():
    assert stages_of(None) == []
    assert stages_of(workflow()) == []


@given(JSON)
def test_every_string_of_a_value_is_found_and_no_name_of_a_field(value):
    assert list(strings_in({"field": [value, "x"]})) == [*strings_in(value), "x"]
    assert list(strings_in({f"{value}": 1})) == []


@given(st.sets(NAMES, max_size=5), NAMES)
def test_variables_are_found_wherever_they_stand(names, other):
    stages = [{"send": {"metadata": {other: f"a ${{{name}}} b ${{{name}}}"}}} for name in sorted(names)]
    assert variables_of(workflow(*stages, wait_event("ok"))) == names


@pytest.mark.parametrize(
    ("stages", "recoverable"),
    [
        ([send()], True),
        ([send(key=False)], False),
        ([wait_event("go ${airflow_run_key}"), send()], True),
        ([delay(1), send()], False),  # the first stage only: the others may never begin
        ([send(key=False), send()], False),
        ([{"send": {"metadata": {"${airflow_run_key}": "x"}}}], False),
        ([send(key=False) | {"x": {"y": "$airflow_run_key {airflow_run_key}"}}], False),
        ([], False),
    ],
)
def test_recoverable_is_what_shows_the_run_key_at_once(stages, recoverable):
    assert is_recoverable(workflow(*stages)) is recoverable


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
        object(),
    ],
    ids=repr,
)
def test_other_kinds_are_refused_and_all_named(value):
    with pytest.raises(InvalidInputError) as caught:
        as_strings({"amount": value, "payee": "alice", "fee": 1.5})
    said = str(caught.value)
    assert f"amount = {value!r} is a {type(value).__name__}" in said
    assert "fee = 1.5 is a float" in said
    assert "payee" not in said
    assert "Nothing was sent" in said


@pytest.mark.parametrize("variables", ["amount=10", ["amount", "10"], 10, [("amount", "10")]], ids=repr)
def test_what_is_no_mapping_is_refused(variables):
    with pytest.raises(InvalidInputError, match=f"mapping of names to strings, not {type(variables).__name__}"):
        as_strings(variables)


@pytest.mark.parametrize("name", [1, None, "", ("a",)], ids=repr)
def test_a_name_must_be_a_text(name):
    with pytest.raises(InvalidInputError, match="is not a string"):
        as_strings({name: "x"})


def test_a_deleted_workflow_is_refused_though_flows_would_run_it():
    with pytest.raises(InvalidInputError, match=r"'payout' \(w1\) was deleted at 2026-11-24.*Nothing was sent"):
        check_before_submit(workflow(send(key=False), deletedAt="2026-11-24T00:00:00Z"), {}, log)


def test_missing_variables_are_all_named():
    stages = [send("${payee}", amount="${amount}"), wait_event("ok-${order}")]
    with pytest.raises(InvalidInputError) as caught:
        check_before_submit(workflow(*stages), {"order": "7"}, log)
    said = str(caught.value)
    assert "amount, payee missing" in said
    assert "${amount}, ${payee}" in said
    assert "given: order" in said
    with pytest.raises(InvalidInputError, match="given: none"):
        check_before_submit(workflow(*stages), {}, log)


def test_the_run_key_is_never_missing_and_unknown_variables_are_only_warned_of(caplog):
    check_before_submit(workflow(send()), {"airflow_run_key": "k"}, log)
    assert not caplog.records
    check_before_submit(workflow(send(amount="${amount}")), {"amount": "1", "ammount": "2", "b": ""}, log)
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert "ammount, b" in warning.getMessage()


@pytest.mark.parametrize(
    ("amount", "warned"), [("1000", False), ("0", False), ("10.5", True), ("-5", True), ("", True), ("1e3", True)]
)
def test_an_amount_that_is_no_whole_number_is_warned_of(caplog, amount, warned):
    asks = workflow({"send": {"amount": {"amount": "${amount}", "asset": "EUR/2"}, "metadata": {"note": "${note}"}}})
    check_before_submit(asks, {"amount": amount, "note": "10.5"}, log)
    assert (f"amount = {amount!r} is no whole number of the asset's smallest unit" in caplog.text) is warned
    assert "note" not in caplog.text


def test_a_workflow_by_id_may_be_deleted_and_is_refused_later(flows):
    made = flows.workflow(send())
    flows.client.delete_workflow(made.id)
    found = find_workflow(flows.client, workflow_id=made.id, workflow_name=None, log=log)
    assert found.id == made.id
    assert found.deleted_at is not None


def test_of_one_name_the_newest_that_is_not_deleted(flows, caplog):
    caplog.set_level(logging.INFO)
    name = unique("payout")
    first, second, third = (flows.workflow(delay(n), name=name) for n in (1, 2, 3))
    flows.client.delete_workflow(third.id)
    found = find_workflow(flows.client, workflow_id=None, workflow_name=name, log=log)
    assert found.id == second.id
    assert f"2 workflows are named {name!r}: the newest is taken, {second.id}" in caplog.text
    flows.client.delete_workflow(second.id)
    assert find_workflow(flows.client, workflow_id=None, workflow_name=name, log=log).id == first.id
    assert f"workflow {name!r} is {first.id}" in caplog.text


def test_unknown_workflows_are_told_apart_from_wrong_input(flows):
    known = flows.workflow(send()).name
    with pytest.raises(NotFoundError, match="no-such-id"):
        find_workflow(flows.client, workflow_id="no-such-id", workflow_name=None, log=log)
    with pytest.raises(NotFoundError, match=f"no workflow is named 'x{known}' on this stack; there are: "):
        find_workflow(flows.client, workflow_id=None, workflow_name=f"x{known}", log=log)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"workflow_id": "", "workflow_name": None}, "workflow_id"),
        ({"workflow_id": None, "workflow_name": None}, "workflow_id"),  # an XCom that is not there
        ({"workflow_id": None, "workflow_name": ""}, "workflow_name"),
        ({"workflow_id": None, "workflow_name": 5}, "workflow_name"),
    ],
)
def test_what_templates_leave_empty_is_named(flows, given, named):
    flows.emulator.reset_counters()
    with pytest.raises(InvalidInputError, match=named):
        find_workflow(flows.client, log=log, **given)
    assert not flows.emulator.counters()["requests"]
