"""What a workflow asks for, and which one a name means."""

from __future__ import annotations

import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.exceptions import InvalidInputError, NotFoundError
from airflow_provider_orchestration.run.definition import (
    find_workflow,
    is_recoverable,
    stages_of,
    strings_in,
    variables_of,
    workflows_named_as,
)
from tests.support.flows import delay, send, unique, wait_event
from tests.support.task_life import told
from tests.support.things import workflow

log = logging.getLogger(__name__)
NAMES = st.text("abcxyz_0", min_size=1, max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


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
    assert re.search(r"2 of \d+ workflows", caplog.text)
    assert f" workflows are named {name!r}: the newest is taken, {second.id}" in caplog.text
    flows.client.delete_workflow(second.id)
    assert find_workflow(flows.client, workflow_id=None, workflow_name=name, log=log).id == first.id
    assert f"workflow {name!r} is {first.id}" in caplog.text


def test_unknown_workflows_are_told_apart_from_wrong_input(flows):
    known = flows.workflow(send()).name
    with pytest.raises(NotFoundError, match="no-such-id"):
        find_workflow(flows.client, workflow_id="no-such-id", workflow_name=None, log=log)
    with pytest.raises(NotFoundError, match=f"no workflow is named 'x{known}' on this stack") as caught:
        find_workflow(flows.client, workflow_id=None, workflow_name=f"x{known}", log=log)
    assert "there are:" in told(caught.value)


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


def test_all_workflows_of_a_name_but_the_deleted_ones(flows):
    name = unique("payout")
    first, second, third = (flows.workflow(delay(n), name=name) for n in (1, 2, 3))
    flows.workflow(delay(1))
    flows.client.delete_workflow(third.id)
    assert [one.id for one in workflows_named_as(flows.client, second)] == [second.id, first.id]
    assert {one.id for one in workflows_named_as(flows.client, third)} == {third.id, first.id, second.id}
