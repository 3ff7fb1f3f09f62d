"""How large a record may become, whatever the run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.exceptions import RecordError
from airflow_provider_orchestration.run.bounds import LARGEST_RECORD
from airflow_provider_orchestration.run.record import Decision, Earlier, EventRecord, Phase, RunRecord
from airflow_provider_orchestration.run.store import as_json, record_from
from tests.support.things import run_record


def size_of(record: Any) -> int:
    return len(json.dumps(as_json(record)))


def result(stages: int, transactions: int | None, **more: Any) -> dict[str, Any]:
    posting = {"source": "world", "destination": "users:42", "amount": "100", "asset": "EUR/2"}
    return {
        "instance_id": "i1",
        "state": "succeeded",
        "error": None,
        "stages": [{"stage": number, "kind": "send", "error": None} for number in range(stages)],
        "transactions": None
        if transactions is None
        else [{"id": number, "metadata": {"note": "x" * 100}, "postings": [posting]} for number in range(transactions)],
        **more,
    }


def test_a_record_that_is_small_is_kept_whole():
    record = run_record(phase=Phase.ENDED, state="succeeded", result=result(5, 5))
    assert record_from(as_json(record), RunRecord) == record


@pytest.mark.parametrize(("stages", "transactions"), [(300, 300), (3000, None), (1, 2000), (5000, 1)])
def test_of_a_result_that_is_too_large_the_beginning_is_kept_and_said_to_be_all(stages, transactions):
    record = run_record(phase=Phase.ENDED, state="succeeded", result=result(stages, transactions))
    kept = as_json(record)["result"]
    assert 10_000 < size_of(record) <= LARGEST_RECORD
    assert (kept["instance_id"], kept["state"]) == ("i1", "succeeded")
    assert 0 < len(kept["stages"]) <= stages
    assert f"of {stages} stages" in kept["cut"]
    assert "return_value" in kept["cut"]
    if transactions is None:
        assert kept["transactions"] is None
    else:
        assert f"{len(kept['transactions'])} of {transactions} transactions" in kept["cut"]
        assert kept["transactions"][0]["postings"][0]["amount"] == "100"


def test_of_many_clears_and_decisions_the_latest_are_kept():
    record = run_record(
        earlier=tuple(Earlier(f"dag/run/task@{number}", "i" * 36, "failed", "x" * 5000) for number in range(100)),
        decisions=tuple(Decision("forget", "ann", "2026-11-26T00:00:00+00:00") for _ in range(100)),
        error="y" * 50_000,
    )
    kept = as_json(record)
    assert size_of(record) <= LARGEST_RECORD
    assert [one["run_key"] for one in kept["earlier"]] == [f"dag/run/task@{number}" for number in range(90, 100)]
    assert len(kept["decisions"]) == 10
    assert "only the latest earlier submissions" in kept["cut"]
    assert kept["error"].endswith("... (cut)")


def test_of_submissions_with_very_long_keys_fewer_are_kept():
    record = run_record(
        phase=Phase.INTENT, earlier=tuple(Earlier("\U0001f600" * 400 + str(number), "i") for number in range(10))
    )
    assert size_of(record) <= LARGEST_RECORD
    assert 0 < len(as_json(record)["earlier"]) < 10
    assert as_json(record)["earlier"][-1]["run_key"].endswith("9")


TEXTS = st.text(max_size=2000)


@given(
    st.builds(
        run_record,
        error=st.none() | TEXTS,
        phase=st.sampled_from([Phase.SUBMITTED, Phase.UNKNOWN, Phase.ENDED]),
        earlier=st.lists(st.builds(Earlier, run_key=st.text(max_size=1000), error=TEXTS), max_size=15).map(tuple),
        result=st.none()
        | st.builds(
            result,
            st.integers(0, 400),
            st.none() | st.integers(0, 400),
            error=TEXTS,
            workflow_name=TEXTS,
            run_key=TEXTS,
        ),
    )
)
def test_whatever_it_holds_it_is_bounded_and_can_be_read(record):
    value = as_json(record)
    assert size_of(record) <= LARGEST_RECORD
    assert record_from(value, RunRecord).instance_id == record.instance_id


@pytest.mark.parametrize(
    "record",
    [
        run_record(phase=Phase.INTENT, run_key="k" * 40_000),
        EventRecord(instance_id="i", event="e" * 40_000, stage=1, phase="found"),
    ],
    ids=["run", "event"],
)
def test_what_cannot_be_made_small_is_refused_before_anything_is_sent(record):
    with pytest.raises(RecordError, match=r"would have 40\d\d\d bytes, and at most 32000.*nothing was sent"):
        as_json(record)


@pytest.mark.parametrize("phase", [Phase.SUBMITTED, Phase.UNKNOWN, Phase.REFUSED])
def test_what_was_sent_is_written_down_at_any_size(phase):
    assert as_json(run_record(phase=phase, run_key="k" * 40_000))["phase"] == phase
