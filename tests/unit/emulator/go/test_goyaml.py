"""What ``yaml.v3`` makes of YAML, and what it says of what is none."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orchestration.emulator.go import gojson, goyaml

TWICE = 'yaml: unmarshal errors:\n  line {}: mapping key "{}" already defined at line {}'
NO_MAPPING = "yaml: unmarshal errors:\n  line 1: cannot unmarshal {} into map[string]interface {{}}"


def read(text: str) -> Any:
    return gojson.Fit().anything(goyaml.parse(text.encode()))


@pytest.mark.parametrize(
    "text, value",
    [
        ("12:30", "12:30"),
        ("190:20:30", "190:20:30"),
        ("1e3", 1000),
        ("1.5e3", 1500),
        ("0o17", 15),
        ("-0o17", -15),
        ("017", 15),
        ("019", 19),
        ("0x1F", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("+1", 1),
        (".5", 0.5),
        ("5.", 5),
        ("1e400", "1e400"),
        ("0o8", "0o8"),
        ("._1", "._1"),
        ("'5'", "5"),
        ("2026-11-23", "2026-11-23T00:00:00Z"),
        ("2026-02-30", "2026-02-30"),
        ("yes", "yes"),
        ("True", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("Null", None),
        ("~", None),
        ("", None),
        ("!!str 5", "5"),
        ("!!float 5", 5),
        ("!!binary aGVsbG8=", "hello"),
        ("!ours 5", "5"),
        ("|\n  x\n  y\n", "x\ny\n"),
    ],
)
def test_scalars(text, value):
    found = read(f"a: {text}")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


def test_the_first_document_counts():
    assert read("a: b\n---\na: c\n") == read("a: b\n...\n]") == {"a": "b"}
    assert read("---\n") is None


def test_anchors_and_merges():
    assert read("base: &b {x: 1, y: 1}\nc:\n  <<: *b\n  y: 2\nd: *b") == {
        "base": {"x": 1, "y": 1},
        "c": {"x": 1, "y": 2},
        "d": {"x": 1, "y": 1},
    }


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "EOF"),
        ("\n", "EOF"),
        ("# only a comment\n", "EOF"),
        ("name: a\nname: b\n", TWICE.format(2, "name", 1)),
        ("a: x\nb: {c: d, c: e}\na: x\n", TWICE.format(3, "a", 1)),
        (
            "a: {b: x, b: y}\nc:\n  d: x\n  d: y\n",
            TWICE.format(1, "b", 1) + '\n  line 4: mapping key "d" already defined at line 3',
        ),
        ("a: {b: 1, b: 2}", TWICE.format(1, "b", 1)),
        ("- a\n", NO_MAPPING.format("!!seq")),
        ("x\n", NO_MAPPING.format("!!str `x`")),
        ("5\n", NO_MAPPING.format("!!int `5`")),
        ("1.5\n", NO_MAPPING.format("!!float `1.5`")),
        ("true\n", NO_MAPPING.format("!!bool `true`")),
        ("a text that is longer", NO_MAPPING.format("!!str `a text ...`")),
        ("name: [", "yaml: line 1: did not find expected node content"),
        ("a: [}", "yaml: did not find expected node content"),
        ("name: {a", "yaml: line 1: did not find expected ',' or '}'"),
        ("name: {a: b c: d}", "yaml: did not find expected ',' or '}'"),
        ("a: [1,2", "yaml: line 1: did not find expected ',' or ']'"),
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        ("name: x\n  y: z\n", "yaml: line 2: mapping values are not allowed in this context"),
        ("name: @x", "yaml: found character that cannot start any token"),
        ("name:\n\t- x", "yaml: line 2: found character that cannot start any token"),
        ("a: - b", "yaml: block sequence entries are not allowed in this context"),
        ("a:\n  - b\n - c", "yaml: line 2: did not find expected key"),
        ("- - a\n  - b\n -c", "yaml: line 2: did not find expected '-' indicator"),
        ("name: x\nfoo\nbar: b", "yaml: line 2: could not find expected ':'"),
        ("a: *b", "yaml: unknown anchor 'b' referenced"),
        ("a: b\x00", "yaml: control characters are not allowed"),
        ("a: !!int x", "yaml: cannot decode !!str `x` as a !!int"),
        ("a: !!binary '???'", "yaml: !!binary value contains invalid base64 data"),
        ("a:\n  <<: 5", "yaml: map merge requires map or sequence of maps as the value"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(gojson.DecodeError) as raised:
        goyaml.parse(text.encode())
    assert str(raised.value) == message


@pytest.mark.parametrize("text", ["a: &a\n  b: *a", "a: {[x]: y}", "a: " + "[" * 10_000])
def test_what_is_refused_in_other_words_than_those_of_go(text):
    with pytest.raises(gojson.DecodeError, match=r"^yaml: "):
        goyaml.parse(text.encode())


@pytest.mark.parametrize("text", ["a: .inf", "a: -.Inf", "a: .nan", "a: {1: x}", "a: {true: x}"])
def test_what_cannot_be_json(text):
    with pytest.raises(goyaml.PanicError):
        goyaml.parse(text.encode())
