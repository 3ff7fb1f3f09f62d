"""Finding the instance of a submission whose answer was lost, by its run key."""

from __future__ import annotations

import logging
import time

from airflow_provider_orchestration.run.submit.recovery import (
    CLOCK_MARGIN,
    Candidate,
    KeyScan,
    Scanned,
    Search,
    candidate_lines,
)
from tests.support.flows import delay, send, wait_event

KEY = "dag/run/task@0123456789abcdef"
log = logging.getLogger(__name__)


def candidate(*texts: str, terminated: bool = False, unread: bool = False, name: str = "i1") -> Candidate:
    return Candidate(name, "2026-11-23T18:00:00+00:00", terminated, None if unread else frozenset(texts))


def test_a_key_is_found_alone_and_within_a_longer_text():
    assert candidate("world", KEY).has_key(KEY)
    assert candidate(f"run {KEY}, sent by Airflow").has_key(KEY)
    assert not candidate("world", "dag/run/task@ffff").has_key(KEY)
    assert not candidate().has_key(KEY)
    assert not candidate(unread=True).has_key(KEY)


def test_a_candidate_is_described_for_a_person():
    assert str(candidate()) == "i1 of 2026-11-23 18:00:00, running"
    assert str(candidate(terminated=True, unread=True)).endswith("ended, no history")
    assert candidate_lines("those:", []) == ["those: none"]
    many = [candidate(name=f"i{number}") for number in range(12)]
    shown = candidate_lines("those:", many)
    assert shown[:2] == ["those:", "  i0 of 2026-11-23 18:00:00, running"]
    assert shown[-1] == "  and 2 more"
    assert len(shown) == 12
    assert candidate_lines("those:", many[:10]) == shown[:-1]


def test_a_scan_reads_what_was_created_since_and_each_history_once(flows):
    workflow = flows.workflow(send("a"), delay(100))
    before = time.time()
    ids = [flows.client.run_workflow(workflow.id, {"airflow_run_key": f"k{n}"}).id for n in range(3)]
    for one in ids:
        flows.waiting_at(one, 1)
    flows.emulator.reset_counters()
    scan = KeyScan()
    for _ in range(3):
        scanned = scan.scan(flows.client, workflow.id, before)
        assert [one.instance_id for one in scanned.candidates] == ids
        assert [one.has_key(f"k{n}") for n, one in enumerate(scanned.candidates)] == [True] * 3
        assert [one.has_key("k1") for one in scanned.candidates] == [False, True, False]
    # Once more, whether the server cuts lists.
    assert (flows.asked("get_instance_history"), flows.asked("list_instances")) == (3, 3 + 1)
    assert scan.scan(flows.client, workflow.id, before + CLOCK_MARGIN + 60).candidates == []
    # The clocks of a stack's parts may differ by so much.
    assert len(scan.scan(flows.client, workflow.id, before + CLOCK_MARGIN - 5).candidates) == 3


def test_a_history_that_cannot_be_read_is_undecided_and_read_again(flows):
    instance_id = flows.run(send("a"), wait_event("go"), airflow_run_key=KEY)
    workflow_id = flows.waiting_at(instance_id, 1).workflow_id
    flows.emulator.fault("get_instance_history", "status", times=2, status=503)
    scan = KeyScan()
    for texts in (None, None):
        (found,) = scan.scan(flows.client, workflow_id, 0.0).candidates
        assert found.texts is texts
        assert not found.has_key(KEY)
    (found,) = scan.scan(flows.client, workflow_id, 0.0).candidates
    assert found.has_key(KEY)


def test_a_run_that_has_just_begun_is_undecided(flows):
    flows.emulator.fault("get_instance_history", "status", status=200, body={"data": []})
    instance_id = flows.run(send("a"), wait_event("go"), airflow_run_key=KEY)
    workflow_id = flows.client.get_instance(instance_id).workflow_id
    (found,) = KeyScan().scan(flows.client, workflow_id, 0.0).candidates
    assert found.texts is None


def test_one_without_stages_is_decided(flows):
    ended = flows.ended(flows.run())
    (found,) = KeyScan().scan(flows.client, ended.workflow_id, 0.0).candidates
    assert found.texts == frozenset()


def test_a_list_that_cannot_be_read_is_no_answer(flows):
    workflow = flows.workflow(send("a"))
    flows.emulator.fault("list_instances", "status", status=503)
    scanned = KeyScan().scan(flows.client, workflow.id, 0.0)
    assert scanned.candidates == ()
    assert scanned.error is not None
    assert "503" in scanned.error


def test_the_instances_of_a_deleted_workflow_are_not_seen(flows):
    instance_id = flows.run(send("a"), wait_event("go"), airflow_run_key=KEY)
    workflow_id = flows.waiting_at(instance_id, 1).workflow_id
    flows.client.delete_workflow(workflow_id)
    assert KeyScan().scan(flows.client, workflow_id, 0.0) == Scanned([])


def test_a_search_tells_each_thing_once(caplog):
    caplog.set_level(logging.INFO)
    search = Search("w1", KEY, 0.0, log)
    trouble = Scanned(error="503")
    nothing = Scanned([candidate("other")])
    assert [search.take(one) for one in (trouble, trouble, nothing, nothing, trouble)] == [None] * 5
    failed = [f"looking for run key {KEY} failed:", "503"]
    assert caplog.messages == [
        *failed,
        f"looking for run key {KEY}",
        "none of the instances of workflow w1 created since the submission bears it:",
        f"  {candidate('other')}",
        *failed,
    ]
    # What was seen last stays known.
    assert search.candidates == nothing.candidates
    assert search.take(Scanned([candidate("x"), candidate(KEY, name="i2")])) == "i2"
    assert f"found: instance i2 bears run key {KEY}" in caplog.text


def test_a_search_looks(flows):
    instance_id = flows.run(send("a"), wait_event("go"), airflow_run_key=KEY)
    workflow_id = flows.waiting_at(instance_id, 1).workflow_id
    assert Search(workflow_id, KEY, time.time(), log).look(flows.client, time.time() + 30) == instance_id
    assert Search(workflow_id, f"{KEY}0", time.time(), log).look(flows.client, time.time() + 30) is None


def test_where_more_than_one_bears_the_key_one_that_runs_is_taken_and_the_others_are_told(caplog):
    search = Search("w1", KEY, 0.0, log)
    both = [candidate(KEY, name="i1", terminated=True), candidate(KEY, name="i2")]
    assert search.take(Scanned(both)) == "i2"
    assert "2 instances bear this run key" in caplog.text
    assert caplog.messages[-2:] == ["look at the others:", f"  {both[0]}"]
    assert "this task follows i2" in caplog.text
    assert search.take(Scanned(both[:1])) == "i1"
