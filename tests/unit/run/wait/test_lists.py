"""What a list says of who runs and who has ended; it is read for nothing else, and away from the event loop."""

from __future__ import annotations

import asyncio
import threading

from airflow_provider_orchestration.run.wait.lists import LIST_FROM, confirm_ended, running_ids
from airflow_provider_orchestration.run.wait.poller import Poller
from tests.support.waiting import Crowd, all_of, begin, run, until


def test_a_list_names_those_that_run(flows):
    crowd = Crowd(flows, 3)
    assert running_ids(flows.client, crowd.workflow_id).ids == set(crowd.ids)
    crowd.go(crowd.ids[1])
    assert running_ids(flows.client, crowd.workflow_id).ids == {crowd.ids[0], crowd.ids[2]}


def test_of_those_that_vanished_only_what_another_list_misses_too_has_ended(flows):
    crowd = Crowd(flows, 3)
    crowd.go(crowd.ids[0])
    assert confirm_ended(flows.client, crowd.workflow_id, set(crowd.ids)) == {crowd.ids[0]}
    asked = flows.emulator.counters()["requests"]
    # The first list of a client is asked for once more: with pages of no items, to see whether the server cuts lists.
    assert (asked["list_instances"], asked["get_workflow"]) == (2, 1)


def test_none_has_ended_for_sure_whose_workflow_was_deleted(flows):
    crowd = Crowd(flows, 2)
    flows.client.delete_workflow(crowd.workflow_id)
    # The server leaves them out, though they run.
    assert running_ids(flows.client, crowd.workflow_id).ids == frozenset()
    assert confirm_ended(flows.client, crowd.workflow_id, set(crowd.ids)) == frozenset()


def test_lists_are_read_and_decoded_one_at_a_time_in_threads_of_their_own(flows, monkeypatch):
    crowd, other = Crowd(flows, LIST_FROM), Crowd(flows, LIST_FROM)
    monkeypatch.setenv("AIRFLOW__FORMANCE__STAGE_READS_PER_SECOND", "0")
    readers: set[str] = set()
    reading = threading.Lock()

    def watched(client, workflow_id, *limits):
        readers.add(threading.current_thread().name.rstrip("0123456789"))
        assert reading.acquire(blocking=False), "two at once"
        try:
            return running_ids(client, workflow_id, *limits)
        finally:
            reading.release()

    monkeypatch.setattr("airflow_provider_orchestration.run.wait.looks.running_ids", watched)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id) + begin(poller, other.ids, other.workflow_id)
        await until(lambda: flows.asked("list_instances") >= 6)
        await asyncio.to_thread(crowd.go)
        await asyncio.to_thread(other.go)
        assert await all_of(tasks) == crowd.ends + other.ends

    run(scene)
    assert readers == {"formance-poller-lists_"}
