"""One search for all who look for a lost submission: each history is read once, each is told its own."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import pytest
import structlog
from structlog.contextvars import bind_contextvars

from airflow_provider_orchestration.run.submit.recovery import Scanned, Search
from airflow_provider_orchestration.run.submit.searching import SharedSearch
from airflow_provider_orchestration.run.wait.poller import Poller
from tests.support.flows import Flows, send, wait_event
from tests.support.waiting import run, until

KEYS = [f"dag/run/task[{number}]@{number:016x}" for number in range(12)]


def search_for(key: str, workflow_id: str = "w1", since: float = 0.0) -> Search:
    return Search(workflow_id, key, since, structlog.get_logger("test"))


@pytest.fixture
def lost(flows: Flows) -> tuple[str, dict[str, str]]:
    """A workflow of which twelve runs were submitted, and their ids by key."""
    workflow = flows.workflow(send("a"), wait_event("go"))
    ids = {key: flows.client.run_workflow(workflow.id, {"airflow_run_key": key}).id for key in KEYS}
    for one in ids.values():
        flows.waiting_at(one, 1)
    flows.emulator.reset_counters()
    return workflow.id, ids


def test_each_history_is_read_once_for_all_who_look(flows, lost):
    workflow_id, ids = lost

    async def scene(poller: Poller) -> None:
        until = time.time() + 30
        found = await asyncio.gather(*(poller.find(search_for(key, workflow_id), until, 0.1) for key in KEYS))
        assert found == list(ids.values())

    run(scene)
    # The list once more, whether the server cuts lists.
    assert flows.emulator.counters()["requests"] == {"list_instances": 2, "get_instance_history": 12}


def test_those_who_come_later_share_what_was_read(flows, lost):
    workflow_id, ids = lost

    async def scene(poller: Poller) -> None:
        seeker = asyncio.create_task(poller.find(search_for("nobody's", workflow_id), time.time() + 30, 0.1))
        await until(lambda: flows.asked("list_instances") >= 1)
        assert await poller.find(search_for(KEYS[3], workflow_id), time.time() + 30, 0.1) == ids[KEYS[3]]
        assert not seeker.done()
        seeker.cancel()

    run(scene)
    assert flows.asked("get_instance_history") == 12


def test_one_that_begins_while_it_is_looked_for_is_found(flows):
    workflow = flows.workflow(send("a"), wait_event("go"))

    async def scene(poller: Poller) -> None:
        seeker = asyncio.create_task(poller.find(search_for(KEYS[0], workflow.id), time.time() + 30, 0.05))
        await until(lambda: flows.asked("list_instances") >= 2)
        started = await asyncio.to_thread(flows.client.run_workflow, workflow.id, {"airflow_run_key": KEYS[0]})
        assert await seeker == started.id

    run(scene)


@pytest.mark.parametrize("until", [-60.0, 0.3])
def test_when_its_time_is_up_it_has_looked_at_least_once(flows, lost, until):
    workflow_id, ids = lost

    async def scene(poller: Poller) -> None:
        until_then = time.time() + until
        assert await poller.find(search_for("nobody's", workflow_id), until_then, 10.0) is None
        assert time.time() >= until_then
        assert await poller.find(search_for(KEYS[0], workflow_id), time.time() - 60, 10.0) == ids[KEYS[0]]

    run(scene)


def test_a_look_that_fails_says_nothing_and_it_goes_on(flows, lost, said):
    workflow_id, ids = lost
    flows.emulator.fault("list_instances", "status", times=2, status=503)
    flows.emulator.fault("get_instance_history", "reset_before", times=5)

    async def scene(poller: Poller) -> None:
        found = await asyncio.gather(
            *(poller.find(search_for(key, workflow_id), time.time() + 30, 0.05) for key in KEYS)
        )
        assert found == list(ids.values())

    run(scene)
    # Told once to each.
    assert len(said.having("list_instances", "warning")) == 12


def test_each_line_is_written_in_the_context_of_its_task(flows, lost, said):
    workflow_id, _ = lost

    async def seek(poller: Poller, key: str) -> None:
        bind_contextvars(task=key)
        await poller.find(search_for(key, workflow_id), time.time() + 30, 0.05)

    async def scene(poller: Poller) -> None:
        await asyncio.gather(*(seek(poller, key) for key in KEYS))

    run(scene)
    found = [(entry["task"], entry["event"]) for entry in said.entries if "found: instance" in entry["event"]]
    assert {task for task, _ in found} == set(KEYS)
    assert all(task in line for task, line in found)


def test_an_error_of_one_is_not_that_of_another():
    class Broken(Search):
        def take(self, scanned: Scanned) -> str | None:
            raise ZeroDivisionError

    async def play() -> None:
        async def scan(*_: Any, **__: Any) -> Scanned:
            return Scanned()

        shared = SharedSearch(scan)
        broken = shared.find(Broken("w1", "k", 0.0, structlog.get_logger()), time.time() + 30, 0.01)
        other = shared.find(search_for("k"), time.time() + 0.1, 0.01)
        results = await asyncio.gather(broken, other, return_exceptions=True)
        assert isinstance(results[0], ZeroDivisionError)
        assert results[1] is None
        assert shared.seekers == []

    asyncio.run(play())


def test_what_was_created_since_the_first_of_them_is_looked_at():
    asked: list[tuple[str, float]] = []

    async def play() -> None:
        async def scan(_: Any, workflow_id: str, since: float, *, until: float) -> Scanned:
            asked.append((workflow_id, since))
            return Scanned()

        shared, up = SharedSearch(scan), time.time() - 1
        await asyncio.gather(*(shared.find(search_for("k", since=since), up, 10.0) for since in (7.0, 3.0, 5.0)))

    asyncio.run(play())
    assert asked == [("w1", 3.0)]


def test_a_newcomer_is_looked_for_soon_and_the_shortest_interval_wins():
    looks: list[float] = []

    async def play() -> None:
        async def scan(*_: Any, **__: Any) -> Scanned:
            looks.append(time.monotonic())
            return Scanned()

        shared = SharedSearch(scan)
        patient = asyncio.create_task(shared.find(search_for("k"), time.time() + 60, 14.0))
        await asyncio.sleep(0.1)
        assert len(looks) == 1
        assert await shared.find(search_for("l"), time.time() + 1.6, 0.2) is None
        patient.cancel()

    asyncio.run(play())
    pauses = [after - before for before, after in itertools.pairwise(looks)]
    # The first of the newcomer's, and those at its own interval.
    assert len(pauses) >= 5
    assert all(0.15 < pause < 0.5 for pause in pauses[:5])


def test_histories_that_hang_do_not_make_a_search_longer(flows, lost):
    workflow_id, _ = lost
    flows.emulator.fault("get_instance_history", "delay", times="always", seconds=0.7)

    async def scene(poller: Poller) -> None:
        began = time.monotonic()
        assert await poller.find(search_for("nobody's", workflow_id), time.time() + 1.0, 0.1) is None
        # The look that goes on when the time is up has five seconds; twelve histories would take eight.
        assert time.monotonic() - began < 6.5

    run(scene)


@pytest.mark.parametrize("operation", ["list_instances", "get_instance_history"])
def test_a_server_that_wants_to_be_left_alone_is(flows, lost, operation):
    workflow_id, _ = lost
    flows.emulator.fault(operation, "status", times="always", status=429, headers={"Retry-After": "60"})

    async def scene(poller: Poller) -> None:
        began = time.monotonic()
        assert await poller.find(search_for("nobody's", workflow_id), time.time() + 1.0, 0.05) is None
        assert 0.9 < time.monotonic() - began < 2.0

    run(scene)
    assert flows.asked(operation) == 1
