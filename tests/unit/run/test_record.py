"""What is known of a task's run: the store that keeps it, the key that names it, the digest of what was asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.exceptions import RecordError
from airflow_provider_orchestration.run.record import (
    VERSION,
    Earlier,
    EventRecord,
    Phase,
    RecordStore,
    RunRecord,
    differing,
    digest_of,
    new_run_key,
    task_name,
)
from airflow_provider_orchestration.run.submit.again import Ask
from tests.support.task_life import StaleExecutionError, StateStore
from tests.support.things import run_record

FULL = run_record(
    phase=Phase.ENDED,
    recoverable=True,
    deadline=1_800_000_100.5,
    state="failed",
    error="stage 1/1 send: no amount defined",
    result={"instance_id": "i1", "transactions": [{"postings": [{"amount": "100"}]}], "stages": None},
    earlier=(Earlier("k0"), Earlier("k1", "i0", "failed", "no")),
)
EVENT = EventRecord(instance_id="i1", event="approved", stage=1, phase="sent", generation=2, times=1)
TEXTS = st.text(max_size=8)
VARIABLES = st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=4)


@pytest.fixture
def life():
    """The store of one task, and a maker of contexts for its executions."""
    return StateStore()


def store_of(life: StateStore) -> RecordStore:
    return RecordStore({"task_state_store": life.accessor(life.current)})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("record", [run_record(), FULL, EVENT], ids=["submitted", "full", "event"])
def test_a_record_is_read_as_it_was_written(life, record: Any):
    store = store_of(life)
    assert store.read(type(record)) is None
    store.write(record)
    assert store.read(type(record)) == record
    other: Any = RunRecord if type(record) is EventRecord else EventRecord
    assert store.read(other) is None


def test_it_never_expires(life):
    from airflow.sdk.execution_time.context import NEVER_EXPIRE

    seen = []

    class Accessor:
        def set(self, key, value, *, retention):
            seen.append((key, value["run_key"], retention))

    store = RecordStore({"task_state_store": Accessor()})  # type: ignore[typeddict-item]
    store.write(run_record())
    assert seen == [("formance_run", run_record().run_key, NEVER_EXPIRE)]


def test_an_execution_that_is_not_the_current_one_reads_nothing_and_writes_nothing(life):
    stale = store_of(life)
    stale.write(run_record())
    life.current += 1
    assert stale.read(RunRecord) is None
    with pytest.raises(StaleExecutionError):
        stale.write(FULL)
    assert store_of(life).read(RunRecord) == run_record()


def test_a_write_that_fails_is_not_hidden(life):
    def fail(key, value):
        raise ConnectionError("the API server is away")

    life.before_write = fail
    with pytest.raises(ConnectionError):
        store_of(life).write(run_record())


def test_fields_of_a_later_patch_are_ignored(life):
    store_of(life).write(run_record())
    life.rows["formance_run"]["of tomorrow"] = [1]
    assert store_of(life).read(RunRecord) == run_record()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"version": VERSION + 1}, f"is of version {VERSION + 1}, this provider knows {VERSION}: install the newer"),
        ({"run_key": 5}, "cannot be read"),
        ({}, "cannot be read"),
        ({"version": "1"}, "cannot be read"),
        ({"version": None}, "cannot be read"),
        ({"version": True}, "cannot be read"),
        ([], "cannot be read"),
        ("text", "cannot be read"),
        (5, "cannot be read"),
    ],
)
def test_a_record_that_cannot_be_read_stops_the_task(life, raw, says):
    life.rows["formance_run"] = raw
    with pytest.raises(RecordError, match=says) as caught:
        store_of(life).read(RunRecord)
    assert "formance_run" in str(caught.value)
    assert "Nothing was sent" in str(caught.value)


@pytest.mark.parametrize("phase", ["paid", ""])
def test_a_phase_that_is_not_known_stops_the_task(life, phase):
    store_of(life).write(run_record())
    life.rows["formance_run"]["phase"] = phase
    with pytest.raises(RecordError):
        store_of(life).read(RunRecord)


def test_without_a_store_nothing_is_done():
    for context in ({}, {"task_state_store": None}):
        with pytest.raises(RecordError, match=r"Airflow 3\.3 or later"):
            RecordStore(context)  # type: ignore[arg-type]


def test_a_store_that_forgets_when_a_task_succeeds_is_refused(life, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", "True")
    with pytest.raises(RecordError, match=r"clear_on_success is True.*Set it to False\. Nothing was sent"):
        store_of(life)
    monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", "False")
    assert store_of(life).read(RunRecord) is None


@pytest.mark.parametrize(
    ("map_index", "run_key_name", "name"),
    [
        (-1, None, "d/manual__2026-01-01T00:00:00+00:00/pay@"),
        (0, None, "d/manual__2026-01-01T00:00:00+00:00/pay[0]@"),
        (12, None, "d/manual__2026-01-01T00:00:00+00:00/pay[12]@"),
        (12, "invoice-7", "d/manual__2026-01-01T00:00:00+00:00/invoice-7@"),
        (-1, "", "d/manual__2026-01-01T00:00:00+00:00/pay@"),
    ],
)
def test_the_name_of_a_task(map_index, run_key_name, name):
    assert task_name("d", "manual__2026-01-01T00:00:00+00:00", "pay", map_index, run_key_name) == name


def test_no_two_submissions_have_one_key():
    keys = {new_run_key("d/r/t@") for _ in range(100)}
    assert len(keys) == 100
    assert {key.partition("@")[0] for key in keys} == {"d/r/t"}
    assert {len(key.partition("@")[2]) for key in keys} == {16}


@given(TEXTS, VARIABLES)
def test_a_digest_hides_the_values_and_knows_them_again(workflow, variables):
    digest = digest_of(workflow, variables)
    assert digest.keys() == {"workflow", *(f"variables.{name}" for name in variables)}
    assert all(len(part) == 16 for part in digest.values())
    assert digest_of(workflow, dict(reversed(variables.items()))) == digest
    # What is sent is the same, so it is the same ask.
    assert digest_of(workflow, {name: str(value) for name, value in variables.items()}) == digest


@given(VARIABLES, VARIABLES)
def test_what_differs_is_named(old, new):
    differ = {name for name in old.keys() | new.keys() if str(old.get(name, ...)) != str(new.get(name, ...))}
    assert differing(digest_of("w", old), digest_of("w", new)) == sorted(f"variables.{name}" for name in differ)
    assert ("workflow" in differing(digest_of("w", old), digest_of("v", new))) is True


def test_where_the_old_ask_is_not_known_nothing_differs():
    assert differing({}, digest_of("w", {"a": "1"})) == []


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.tuples()))
def test_a_digest_can_be_had_of_whatever_a_task_was_given(value):
    # It is compared before the variables are checked.
    for variables in (value, {"a": value}, {"a": {1: value, "b": value}}):
        digest = Ask("w", None, variables).digest
        assert digest == Ask("w", None, variables).digest
        assert digest["workflow"] == digest_of("w", {})["workflow"]


def test_a_workflow_is_what_the_dag_calls_it():
    assert Ask("id", None, None).digest == digest_of("id", {})
    assert Ask(None, "name", None).digest == digest_of("name", {})


def test_no_variables_are_no_variables_however_they_are_written():
    assert Ask("w", None, None).digest == Ask("w", None, {}).digest
