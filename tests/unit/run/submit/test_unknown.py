"""What is told of a run whose submission got no answer."""

from __future__ import annotations

from airflow_provider_orchestration.run.record import Phase
from airflow_provider_orchestration.run.submit.recovery import Candidate
from airflow_provider_orchestration.run.submit.unknown import unknown_run
from tests.support.things import run_record


def test_the_message_names_key_time_candidates_and_the_three_ways_on():
    record = run_record(phase=Phase.UNKNOWN, instance_id=None, intent_at=1_800_000_000.9, recoverable=True)
    said = str(unknown_run(record, [Candidate("i7", "2027-01-15T08:00:01+00:00", False, None)]))
    for part in (
        record.run_key,
        "2027-01-15 08:00:00 UTC",
        "workflow w1",
        "i7 (created 2027-01-15T08:00:01+00:00, running, history not readable)",
        "clear the task to look again",
        "`airflow formance adopt`",
        "`airflow formance forget`",
        "nothing is submitted again by itself",
    ):
        assert part in said
    assert "not recoverable" not in said
    assert "\n" not in said


def test_the_message_says_why_no_look_can_prove_anything():
    record = run_record(phase=Phase.UNKNOWN, instance_id=None)
    said = str(unknown_run(record, []))
    assert "The workflow is not recoverable, so no look can prove whose an instance is." in said
    assert "created since: none. It may still start later" in said
    said = str(unknown_run(record, [], "list_instances: 503"))
    assert "created since: none (as far as is known: the last look failed, list_instances: 503)" in said
