"""The records of a task in Airflow's task state store: as they were written, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orchestration.exceptions import RecordError
from airflow_provider_orchestration.run.record import VERSION, Deferral, Earlier, EventRecord, Phase, RunRecord
from airflow_provider_orchestration.run.store import STORE_KEYS, RecordStore
from tests.support.task_life import StaleExecutionError, StateStore, told
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
DEFERRAL = Deferral(nonce="n1", try_number=1, generation=2, method="execute_complete")


@pytest.fixture
def life():
    """The store of one task, and a maker of contexts for its executions."""
    return StateStore()


def store_of(life: StateStore) -> RecordStore:
    return RecordStore({"task_state_store": life.accessor(life.current)})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "record", [run_record(), FULL, EVENT, DEFERRAL], ids=["submitted", "full", "event", "deferral"]
)
def test_a_record_is_read_as_it_was_written(life, record: Any):
    store = store_of(life)
    assert store.read(type(record)) is None
    store.write(record)
    assert store.read(type(record)) == record
    others: Any = STORE_KEYS.keys() - {type(record)}
    assert [store.read(other) for other in others] == [None, None]


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
        ({"version": VERSION + 1}, f"is of version {VERSION + 1}, this provider knows {VERSION}; nothing was sent"),
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
    with pytest.raises(RecordError) as caught:
        store_of(life).read(RunRecord)
    assert says in told(caught.value)
    assert "formance_run" in str(caught.value)
    assert "nothing was sent" in str(caught.value)


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
    with pytest.raises(RecordError, match="clear_on_success is True: set it to False; nothing was sent"):
        store_of(life)
    # What is needed only until the task has ended may be forgotten then.
    context: Any = {"task_state_store": life.accessor(life.current)}
    assert RecordStore(context, outlives_success=False).read(Deferral) is None
    monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", "False")
    assert store_of(life).read(RunRecord) is None
