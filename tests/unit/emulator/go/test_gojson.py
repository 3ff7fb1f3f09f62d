"""Go's error texts, and what Go accepts."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.emulator.go import gojson, golang


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "EOF"),
        (" \n", "EOF"),
        ("{", "unexpected EOF"),
        ('{"a":', "unexpected EOF"),
        ('"abc', "unexpected EOF"),
        ("tru", "unexpected EOF"),
        ("{oops", "invalid character 'o' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("oops", "invalid character 'o' looking for beginning of value"),
        ("name: y", "invalid character 'a' in literal null (expecting 'u')"),
        ("'a'", "invalid character '\\'' looking for beginning of value"),
        ('"a\nb"', "invalid character '\\n' in string literal"),
        ('"\\x"', "invalid character 'x' in string escape code"),
        ('"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
        ("-a", "invalid character 'a' in numeric literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1ex", "invalid character 'x' in exponent of numeric literal"),
        ("NaN", "invalid character 'N' looking for beginning of value"),
        ("-Infinity", "invalid character 'I' in numeric literal"),
    ],
)
def test_what_is_no_json(text, message):
    with pytest.raises(gojson.DecodeError) as raised:
        gojson.parse(text.encode())
    assert str(raised.value) == message


@pytest.mark.parametrize("text, value", [('{"a":"b"} and more', {"a": "b"}), (" null", None), ("[true]x", [True])])
def test_what_follows_a_value_is_ignored(text, value):
    assert gojson.parse(text.encode()) == value


def test_lone_surrogates_and_broken_bytes_are_replaced():
    assert gojson.parse(rb'["\ud800", "' + b"\xff" + b'"]') == ["\ufffd", "\ufffd"]


@pytest.mark.parametrize(
    "value, message",
    [
        ("[1]", "json: cannot unmarshal array into Go value of type map[string]string"),
        ('"x"', "json: cannot unmarshal string into Go value of type map[string]string"),
        ('{"a":1,"b":true}', "json: cannot unmarshal number into Go value of type string"),
        ('{"b":true,"a":1}', "json: cannot unmarshal bool into Go value of type string"),
        ('{"a":1,"a":"x"}', "json: cannot unmarshal number into Go value of type string"),
        ('{"a":{}}', "json: cannot unmarshal object into Go value of type string"),
        ('{"a":true}', "json: cannot unmarshal bool into Go value of type string"),
    ],
)
def test_what_does_not_fit(value, message):
    fit = gojson.Fit()
    fit.string_map(gojson.parse(value.encode()))
    with pytest.raises(gojson.DecodeError) as raised:
        fit.check()
    assert str(raised.value) == message


def test_names_are_found_without_regard_to_case_and_null_changes_nothing():
    fit = gojson.Fit()
    raw = gojson.parse(b'{"NAME":"a","name":null,"x":1}')
    assert fit.struct(raw, "T", {"name": fit.string}) == {"name": "a"}
    fit.check()


@pytest.mark.parametrize(
    "text, value",
    [("1", 1), ("1.0", 1), ("1e2", 100), ("1.5", 1.5), ("12345678901234567891", 12345678901234567000), ("1e21", 1e21)],
)
def test_numbers_are_floats_written_as_go_writes_them(text, value):
    found = gojson.Fit().anything(gojson.parse(text.encode()))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text, nanoseconds, shown",
    [
        ("8s", 8 * 10**9, "8s"),
        ("90s", 90 * 10**9, "1m30s"),
        ("1h", 3600 * 10**9, "1h0m0s"),
        ("1.5s", 1_500_000_000, "1.5s"),
        ("250ms", 250_000_000, "250ms"),
        ("1h1m1.001s", 3_661_001_000_000, "1h1m1.001s"),
        ("-5s", -5 * 10**9, "-5s"),
        ("0", 0, "0s"),
    ],
)
def test_durations(text, nanoseconds, shown):
    assert golang.parse_duration(text) == nanoseconds
    assert golang.format_duration(nanoseconds) == shown


@pytest.mark.parametrize("text", ["", "5", "s", "1 s", "1d", "abc", "99999999999h"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match=r"^"):
        golang.parse_duration(text)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        ("2030-01-01T01:00:00.1234567+01:00", "2030-01-01T00:00:00.123457Z"),
        ("1960-02-03T04:05:06.5Z", "1960-02-03T04:05:06.5Z"),
    ],
)
def test_times(text, shown):
    assert golang.format_time(golang.parse_time(text), 9) == shown


def test_times_are_cut_and_lose_their_zeros():
    moment = golang.parse_time("2030-01-01T00:00:00Z") + 522_930_013
    assert golang.format_time(moment, 9) == "2030-01-01T00:00:00.522930013Z"
    assert golang.format_time(moment, 6) == "2030-01-01T00:00:00.52293Z"


@pytest.mark.parametrize("text", ["2030-01-01", "2030-01-01T00:00:00", "2030-13-01T00:00:00Z", "now"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match=r"^"):
        golang.parse_time(text)


def test_values_print_as_in_go():
    value = {"b": [1.0, 2.5, None, True], "a": 1234567.0, "c": 1e-7}
    assert golang.sprint(value) == "map[a:1.234567e+06 b:[1 2.5 <nil> true] c:1e-07]"
