"""The run key that says whose an instance is, and the digest of what was asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.exceptions import InvalidInputError
from airflow_provider_orchestration.run.keys import (
    RunKey,
    check_name,
    differing,
    digest_of,
    digest_of_all,
    mentions_position,
    new_run_key,
    position_name,
    read_run_key,
    run_keys_in,
)
from airflow_provider_orchestration.run.submit.again import Ask

TEXTS = st.text(max_size=8)
VARIABLES = st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=4)
RUN = "manual__2026-01-01T00:00:00+00:00"
DIGEST = "fedcba9876543210"
END = f"@0123456789abcdef.{DIGEST}"
KEY = f"dag/run/task{END}"


@pytest.mark.parametrize(("map_index", "name"), [(-1, "pay"), (0, "pay[0]"), (12, "pay[12]")])
def test_the_position_of_a_task(map_index, name):
    assert position_name("d", RUN, "pay", map_index) == f"d/{RUN}/{name}"


def test_no_two_submissions_have_one_key():
    keys = {new_run_key("d/r/t", None, DIGEST) for _ in range(100)}
    assert len(keys) == 100
    assert {read_run_key(key) for key in keys} == {RunKey("d", "r", "t", -1, None, DIGEST)}


@given(
    st.sampled_from(["r", RUN, "a/b"]),
    st.sampled_from(["t", "group.t-1"]),
    st.integers(-1, 12),
    st.none() | st.text(min_size=1, max_size=20),
)
def test_a_key_says_what_it_was_made_of(run_id, task_id, map_index, name):
    key = new_run_key(position := position_name("d", run_id, task_id, map_index), name, DIGEST)
    said = read_run_key(key)
    assert said == RunKey("d", run_id, task_id, map_index, name, DIGEST)
    assert said.position == position
    assert run_keys_in([key, f"{key} by Airflow", f"of {key}"]) == [key, key]
    assert mentions_position([f"of {key}"], position)


@pytest.mark.parametrize(
    ("texts", "keys"),
    [
        ([KEY, "users:42", "100"], [KEY]),
        ([f"{KEY} by Airflow"], [KEY]),
        ([f"{KEY} and a/b/c{END}"], [KEY]),
        (["dag/run/task[3]:INV-7@0123456789abcdef"], ["dag/run/task[3]:INV-7@0123456789abcdef"]),
        ([f"a{END}", f"a/b{END}", "dag/run/task@example.com", "dag/run/task@0123456789abcde", f"/run/task{END}"], []),
        (None, []),
    ],
)
def test_run_keys_among_texts(texts, keys):
    assert run_keys_in(texts) == keys


def test_a_key_of_before_there_was_a_digest_in_it():
    assert read_run_key("dag/run/task@0123456789abcdef").digest is None


def test_what_is_no_key_says_nothing():
    with pytest.raises(InvalidInputError, match="'users:42' is not a run key"):
        read_run_key("users:42")


def test_a_position_is_not_that_of_a_longer_name():
    for other in ("dag/run/task2", "dag/run/task[1]", "x-dag/run/tas"):
        assert not mentions_position([other + END], "dag/run/task")
    assert mentions_position([f"dag/run/task:INV{END}"], "dag/run/task")


@pytest.mark.parametrize(("name", "wanted"), [(None, True), ("", True), ("None", True), ("", False), ("None", False)])
def test_a_name_that_renders_to_nothing_is_refused(name, wanted):
    with pytest.raises(InvalidInputError, match=r"run_key_name is .* found nothing.*nothing was sent"):
        check_name(name, wanted=wanted)


def test_a_name_has_its_limits():
    assert check_name(None, wanted=False) is None
    assert check_name("n" * 256, wanted=True) == "n" * 256
    with pytest.raises(InvalidInputError, match="run_key_name has 257 characters"):
        check_name("n" * 257, wanted=True)


@given(TEXTS, VARIABLES)
def test_a_digest_hides_the_values_and_knows_them_again(workflow, variables):
    digest = digest_of(workflow, variables)
    assert digest.keys() == {"workflow", "run_key_name", *(f"variables.{name}" for name in variables)}
    assert all(len(part) == 16 for part in digest.values())
    assert digest_of(workflow, dict(reversed(variables.items()))) == digest
    # What is sent is the same, so it is the same ask.
    assert digest_of(workflow, {name: str(value) for name, value in variables.items()}) == digest


@given(VARIABLES, VARIABLES)
def test_what_differs_is_named(old, new):
    differ = {name for name in old.keys() | new.keys() if str(old.get(name, ...)) != str(new.get(name, ...))}
    assert differing(digest_of("w", old), digest_of("w", new)) == sorted(f"variables.{name}" for name in differ)
    assert ("workflow" in differing(digest_of("w", old), digest_of("v", new))) is True
    assert differing(digest_of("w", old, "INV-1"), digest_of("w", old, "INV-2")) == ["run_key_name"]
    assert (digest_of_all(digest_of("w", old)) == digest_of_all(digest_of("w", new))) is not bool(differ)
    assert digest_of_all(digest_of("w", old, "INV-1")) == digest_of_all(digest_of("w", old)), "it stands in the key"


def test_where_the_old_ask_is_not_known_nothing_differs():
    assert differing({}, digest_of("w", {"a": "1"})) == []
    assert differing({"workflow": digest_of("w", {})["workflow"]}, digest_of("w", {}, "INV-1")) == []


def test_very_many_variables_are_told_as_one():
    many = {f"variable_{number}": str(number) for number in range(2000)}
    digest = digest_of("w", many)
    assert len(json.dumps(digest)) < 200
    assert differing(digest, digest_of("w", {**many, "variable_7": "x"})) == ["variables (all 2000)"]
    assert differing(digest, digest_of("w", dict(reversed(many.items())))) == []


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.tuples()))
def test_a_digest_can_be_had_of_whatever_a_task_was_given(value):
    # It is compared before the variables are checked.
    every: list[Any] = [value, {"a": value}, {"a": {1: value, "b": value}}, {"a": 10**5000}, {10**5000: "a"}]
    for variables in every:
        digest = Ask("w", None, variables).digest
        assert digest == Ask("w", None, variables).digest
        assert digest["workflow"] == digest_of("w", {})["workflow"]


def test_a_workflow_is_what_the_dag_calls_it():
    assert Ask("id", None, None).digest == digest_of("id", {})
    assert Ask(None, "name", None).digest == digest_of("name", {})


def test_no_variables_are_no_variables_however_they_are_written():
    assert Ask("w", None, None).digest == Ask("w", None, {}).digest
