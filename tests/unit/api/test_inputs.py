"""Bad input is refused before anything is sent; good input arrives as it was meant."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.api.definitions import read_definition
from airflow_provider_orchestration.exceptions import InvalidInputError
from tests.support.scripted_server import Answer

WORKFLOW = {"id": "w", "config": {}, "createdAt": "2026-11-23T18:02:23Z"}
INSTANCE = {"id": "i", "workflowID": "w", "createdAt": "2026-11-23T18:02:23Z", "terminated": False}
TRIGGER = {"id": "t", "event": "E", "workflowID": "w", "createdAt": "2026-11-23T18:02:23Z"}

BAD_IDS = [None, "None", 1, "", ".", "..", " w", "w\n", b"w", "\ud800"]
CALLS_WITH_ID = {
    "get_workflow": lambda client, bad: client.get_workflow(bad),
    "delete_workflow": lambda client, bad: client.delete_workflow(bad),
    "run_workflow": lambda client, bad: client.run_workflow(bad),
    "get_instance": lambda client, bad: client.get_instance(bad),
    "get_instance_history": lambda client, bad: client.get_instance_history(bad),
    "get_instance_stage_history": lambda client, bad: client.get_instance_stage_history(bad, 0),
    "send_event": lambda client, bad: client.send_event(bad, "go"),
    "cancel_event": lambda client, bad: client.cancel_event(bad),
    "read_trigger": lambda client, bad: client.read_trigger(bad),
    "delete_trigger": lambda client, bad: client.delete_trigger(bad),
    "list_triggers_occurrences": lambda client, bad: client.list_triggers_occurrences(bad),
}


@pytest.fixture
def nowhere(connect):
    """A client of an address where nobody is: what is sent fails in another way."""
    return connect("https://no-such-host.invalid")


@pytest.mark.parametrize("name", CALLS_WITH_ID)
@pytest.mark.parametrize("bad", BAD_IDS, ids=repr)
def test_ids(bad, name, nowhere):
    with pytest.raises(InvalidInputError):
        CALLS_WITH_ID[name](nowhere, bad)


BAD_ARGUMENTS = {
    "variables are text": (lambda client: client.run_workflow("w", "a=b"), "variables is a str"),
    "a variable is a number": (lambda client: client.run_workflow("w", {"a": 1}), r"variables\['a'\] is 1, a int"),
    "a variable is true": (lambda client: client.run_workflow("w", {"a": True}), "bool"),
    "a variable is a Decimal": (lambda client: client.run_workflow("w", {"a": Decimal("1.5")}), "Decimal"),
    "a variable is None": (lambda client: client.run_workflow("w", {"a": None}), "NoneType"),
    "a variable's name is none": (lambda client: client.run_workflow("w", {1: "a"}), "key 1"),
    "a variable is no Unicode": (lambda client: client.run_workflow("w", {"a": "\ud800"}), "cannot be sent"),
    "no event": (lambda client: client.send_event("i", ""), "name is empty"),
    "event is a number": (lambda client: client.send_event("i", 3), "name is 3"),
    "stage is text": (lambda client: client.get_instance_stage_history("i", "0"), "number is '0'"),
    "stage below 0": (lambda client: client.get_instance_stage_history("i", -1), "number is -1"),
    "stage is true": (lambda client: client.get_instance_stage_history("i", True), "number is True"),
    "trigger without event": (lambda client: client.create_trigger("", "w"), "event is empty"),
    "trigger without workflow": (lambda client: client.create_trigger("E", ""), "workflow_id is empty"),
    "trigger with an empty filter": (lambda client: client.create_trigger("E", "w", filter=""), "filter is empty"),
    "trigger with a number": (lambda client: client.create_trigger("E", "w", vars={"a": 1}), r"vars\['a'\]"),
    "instances of nothing": (lambda client: client.list_instances(""), "workflow_id is empty"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_arguments(case, nowhere):
    call, said = BAD_ARGUMENTS[case]
    with pytest.raises(InvalidInputError, match=said):
        call(nowhere)


def test_a_bad_argument_is_a_value_error():
    assert issubclass(InvalidInputError, ValueError)


def _body(server):
    request = server.api_requests[-1]
    assert request.headers["Content-Type"] == "application/json"
    return json.loads(request.body)


def test_run_is_sent_as_it_was_meant(serve, connect):
    server = serve(Answer(201, {"data": INSTANCE}))
    client = connect(server)
    client.run_workflow("w", {"ключ": "значение", "amount": "100"})
    assert _body(server) == {"ключ": "значение", "amount": "100"}
    assert server.api_requests[-1].path == "/workflows/w/instances"
    client.run_workflow("w")
    assert server.api_requests[-1].body == b""
    client.run_workflow("w", wait=False)
    assert server.api_requests[-1].path == "/workflows/w/instances"


def test_event_and_trigger_are_sent_as_they_were_meant(serve, connect):
    server = serve(Answer(204))
    connect(server).send_event("i", "go")
    assert _body(server) == {"name": "go"}
    server = serve(Answer(201, {"data": TRIGGER}))
    client = connect(server)
    client.create_trigger("E", "w")
    assert _body(server) == {"event": "E", "workflowID": "w"}
    client.create_trigger("E", "w", name="n", filter="true", vars={"a": "event.b"}, version="v2")
    assert _body(server) == {
        "event": "E",
        "workflowID": "w",
        "name": "n",
        "filter": "true",
        "version": "v2",
        "vars": {"a": "event.b"},
    }


@pytest.mark.parametrize(
    "definition",
    [
        {"name": "n", "stages": [{"noop": {}}]},
        '{"name": "n", "stages": [{"noop": {}}]}',
        "name: n\nstages:\n- noop: {}\n",
        "{name: n, stages: [{noop: {}}]}",
    ],
    ids=["dict", "JSON", "YAML", "YAML in braces"],
)
def test_definition_is_sent_as_json(definition, serve, connect):
    server = serve(Answer(201, {"data": WORKFLOW}))
    connect(server).create_workflow(definition)
    assert _body(server) == {"name": "n", "stages": [{"noop": {}}]}


def test_yaml_scalars_are_text_but_for_those_of_json():
    text = """
    stages: []
    texts: [on, off, yes, no, y, n, True, NO, 2026-11-23, 12:30:00, 0123, 0x1F, 0o17, 1_000, .5, 5., +1, =, 1.2.3, "1"]
    others: [true, false, null, ~, 0, -5, 123456789012345678901234567890]
    """
    data = read_definition(text)
    assert data["texts"] == [
        "on", "off", "yes", "no", "y", "n", "True", "NO", "2026-11-23", "12:30:00", "0123", "0x1F", "0o17", "1_000",
        ".5", "5.", "+1", "=", "1.2.3", "1",
    ]  # fmt: skip
    assert data["others"] == [True, False, None, None, 0, -5, 123456789012345678901234567890]


def test_yaml_merges():
    data = read_definition("base: &base {a: x, b: y}\nstages: []\nmore: {<<: *base, b: z}\n")
    assert data["more"] == {"a": "x", "b": "z"}


BAD_DEFINITIONS: dict[str, tuple[Any, str]] = {
    "none": (None, "NoneType"),
    "a list": ([], "a list"),
    "a number": ("5", "a int"),
    "plain text": ("run it", "a str"),
    "empty": ("", "NoneType"),
    "stages are no list": ({"stages": {"noop": {}}}, "stages are {"),
    "stages are text": ({"stages": "noop"}, "stages are 'noop'"),
    "bad JSON": ('{"stages": [}', "no JSON"),
    "bad YAML": ("stages: [\n", "no YAML"),
    "dangerous YAML": ("stages: !!python/object/apply:os.system ['true']", "no YAML"),
    "a float": (
        {"stages": [{"send": {"amount": {"amount": 1.5}}}]},
        r"definition.stages\[0\].send.amount.amount is 1.5",
    ),
    "a float in JSON": ('{"stages": [1.5]}', r"definition.stages\[0\] is 1.5, a float"),
    "a float in YAML": ("stages: [1.5]", r"definition.stages\[0\] is 1.5, a float"),
    "not a number": ('{"stages": [NaN]}', "nan"),
    "a Decimal": ({"stages": [Decimal(1)]}, "Decimal"),
    "bytes": ({"stages": [b"x"]}, "bytes"),
    "a set": ({"stages": [{1}]}, "a set"),
    "a key that is no text": ({"stages": [{1: {}}]}, "key 1"),
    "a key twice in JSON": ('{"stages": [], "stages": []}', "'stages' twice"),
    "a key twice in YAML": ("stages: []\nstages: []", "'stages' twice"),
    "a YAML key that is no text": ("stages: [{true: x}]", "key True"),
    "a YAML key that is a list": ("stages: [{[a]: x}]", "no YAML"),
    "contains itself": ("&a\nstages: [*a]", "contains itself"),
    "YAML nested without end": ("stages: " + "[" * 10_000, "nested too deeply"),
    "nested without end": ('{"stages": ' + "[" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize("case", BAD_DEFINITIONS)
def test_definitions(case, nowhere):
    definition, said = BAD_DEFINITIONS[case]
    with pytest.raises(InvalidInputError, match=said):
        nowhere.create_workflow(definition)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize("text", ["{}", '{"name": "n"}', '{"name": "n", "stages": null}', '{"stages": []}'])
def test_a_definition_may_be_without_name_and_stages(text):
    assert read_definition(text) == read_definition(json.loads(text)) == json.loads(text)


@given(st.dictionaries(st.text(), _json), st.lists(_json))
def test_a_definition_of_json_stays_what_it_is(more, stages):
    definition = {**more, "stages": stages}
    assert read_definition(definition) == definition
    assert read_definition(json.dumps(definition)) == definition
