"""What makes a definition refused, and a stage fail before it begins."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.emulator.world import resolution
from airflow_provider_orchestration.emulator.world.resolution import SchemaError
from tests.unit.emulator.conftest import send


def refused(*stages):
    with pytest.raises(SchemaError) as raised:
        resolution.check_workflow(list(stages))
    return str(raised.value)


@pytest.mark.parametrize(
    "stage, message",
    [
        ({}, "empty specification"),
        (None, "empty specification"),
        ({"noop": {}, "delay": {}}, "a specification should have only one name"),
        ({"foo": {}}, "unable to resolve schema foo"),
        (
            {"delay": {"duration": "abc"}},
            "resolving field 'Duration': unable to resolve field 'Duration' to duration value",
        ),
        (
            {"delay": {"duration": 5}},
            "resolving field 'Duration': expected uint or interpolated string but was float64",
        ),
        ({"delay": {"until": "xx"}}, "resolving field 'Until': expected date as rfc3339 format"),
        ({"wait_event": {"event": 1}}, "resolving field 'Event': expected string but was float64"),
        ({"wait_event": {"event": ["a"]}}, "resolving field 'Event': expected string but was []interface {}"),
        ({"send": {}}, "resolving field 'Source': expected map but was <nil>"),
        ({"send": {"source": "a"}}, "resolving field 'Source': expected map but was string"),
        ({"send": {"source": {}}}, "resolving field 'Destination': expected map but was <nil>"),
        (
            {"send": {"source": {"account": "a"}}},
            "resolving field 'Source': resolving field 'Account': expected map but was string",
        ),
        (
            {"send": {"source": {"account": {"id": True}}}},
            "resolving field 'Source': resolving field 'Account': resolving field 'ID': expected string but was bool",
        ),
        (send("1.5"), "resolving field 'Amount': resolving field 'Amount': unable to parse '1.5' as big int"),
        (
            send({"a": 1}),
            (
                "resolving field 'Amount': resolving field 'Amount': "
                "expected big int or interpolated string but was map[string]interface {}"
            ),
        ),
        (send(metadata={"k": 1}), "resolving field 'Metadata': expected string but was float64"),
        (send(metadata="k"), "resolving field 'Metadata': expecting map, got type: string"),
        (send(timestamp="today"), "resolving field 'Timestamp': expected date as rfc3339 format"),
    ],
)
def test_a_definition_is_refused(stage, message):
    assert refused(stage) == message


@pytest.mark.parametrize(
    "stage",
    [
        {"noop": None},
        {"noop": {"anything": 1}},
        {"delay": {}},
        {"delay": {"duration": "${d}", "until": "${u}"}},
        {"wait_event": {}},
        {"update": {}},
        send("${amount}"),
        send(100),
        send(None),
        {"send": {"source": {}, "destination": {}}},
    ],
)
def test_a_definition_is_accepted(stage):
    resolution.check_workflow([stage])


def failed(tag, *fields):
    return "\n".join(
        f"Key: '{f}' Error:Field validation for '{f.split('.')[-1]}' failed on the '{tag}' tag" for f in fields
    )


@pytest.mark.parametrize(
    "stage, message",
    [
        ({"delay": {}}, failed("duration or until", "Delay.duration", "Delay.until")),
        (
            {"delay": {"duration": "1s", "until": "2030-01-01T00:00:00Z"}},
            failed("duration or until", "Delay.duration", "Delay.until"),
        ),
        ({"wait_event": {"event": "${x}"}}, failed("required", "WaitEvent.Event")),
        ({"update": {}}, failed("account", "Update.account")),
        ({"update": {"account": {}}}, failed("required", "Update.Account.ID", "Update.Account.Metadata")),
        (send(source="${x}"), failed("required", "Send.Source.Account.ID")),
        (
            {"send": {"source": {}, "destination": {"account": {"id": "a"}}}},
            failed("wallet or account or payment", "Send.Source.wallet", "Send.Source.account", "Send.Source.payment"),
        ),
    ],
)
def test_a_stage_fails_for_what_it_lacks(stage, message):
    resolved = resolution.resolve(stage, {})
    with pytest.raises(SchemaError) as raised:
        resolution.validate(next(iter(stage)), resolved)
    assert str(raised.value) == message


def test_variables_are_filled_in_and_missing_ones_are_empty():
    stage = send("${amount}", destination="users:${who}${none}", metadata={"k": "${a}-${a}"})
    resolved = resolution.resolve(stage, {"amount": "7", "who": "1", "a": "x"})
    shown = resolution.as_input("send", resolved)
    assert shown["amount"] == {"amount": 7, "asset": "EUR/2"}
    assert shown["destination"]["account"]["id"] == "users:1"
    assert shown["metadata"] == {"k": "x-x"}
    assert shown["timestamp"] is None


def test_a_value_is_not_filled_in_twice():
    assert resolution.resolve({"wait_event": {"event": "${a}"}}, {"a": "${b}", "b": "c"}) == {"event": "${b}"}
