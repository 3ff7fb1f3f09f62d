"""One reader of a stack for all who wait: what it asks for, whom an error concerns, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import time

import pytest
import structlog

from airflow_provider_orchestration.exceptions import ServerTroubleError
from airflow_provider_orchestration.run.wait import looks as module
from airflow_provider_orchestration.run.wait.lists import LIST_FROM
from airflow_provider_orchestration.run.wait.poller import Poller
from airflow_provider_orchestration.run.wait.waiters import Interval
from airflow_provider_orchestration.run.wait.watch import Verdict, Watch
from tests.support.flows import send
from tests.support.waiting import Crowd, all_of, begin, run, until

pytestmark = pytest.mark.usefixtures("impatient")


def test_few_are_read_one_by_one(flows):
    crowd = Crowd(flows, LIST_FROM - 1)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id)
        await until(lambda: flows.asked("get_instance") >= 3 * len(crowd.ids))
        assert flows.asked("list_instances") == 0
        await asyncio.to_thread(crowd.go)
        assert await all_of(tasks) == crowd.ends

    run(scene)


def test_many_are_read_by_one_list_and_those_that_vanish_are_looked_at(flows, monkeypatch):
    monkeypatch.setenv("AIRFLOW__FORMANCE__STAGE_READS_PER_SECOND", "0")
    crowd = Crowd(flows, LIST_FROM + 2)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id)
        await until(lambda: flows.asked("list_instances") >= 3)
        assert flows.asked("get_instance") == 0
        await asyncio.to_thread(flows.client.send_event, crowd.ids[0], "go")
        async with asyncio.timeout(10):
            assert await tasks[0] == Verdict("ended", crowd.ids[0])
        # It may have vanished from the list, and not yet ended, when it was looked at first.
        assert 1 <= await asyncio.to_thread(flows.asked, "get_instance") <= 3
        await asyncio.to_thread(crowd.go, *crowd.ids[1:])
        assert await all_of(tasks) == crowd.ends

    run(scene)


def test_where_many_vanish_a_few_are_looked_at_and_another_list_tells_of_the_rest(flows, monkeypatch):
    monkeypatch.setattr(module, "CONFIRM_BY_LIST_FROM", 15)
    monkeypatch.setattr(module, "CONFIRM_SAMPLE", 3)
    monkeypatch.setenv("AIRFLOW__FORMANCE__STAGE_READS_PER_SECOND", "0")
    crowd = Crowd(flows, 20)

    async def scene(poller: Poller) -> None:
        await asyncio.to_thread(crowd.go)
        await asyncio.to_thread(flows.emulator.reset_counters)
        assert await all_of(begin(poller, crowd.ids, crowd.workflow_id)) == crowd.ends
        asked = await asyncio.to_thread(lambda: flows.emulator.counters()["requests"])
        assert asked == {"list_instances": 2, "get_workflow": 1, "get_instance": 3}

    run(scene)


@pytest.mark.parametrize("confirm_from", [5, 100])
def test_who_waits_on_a_deleted_workflow_waits_on(flows, monkeypatch, confirm_from):
    # The server leaves its instances out of the list: they vanish, and run.
    monkeypatch.setattr(module, "CONFIRM_BY_LIST_FROM", confirm_from)
    monkeypatch.setattr(module, "CONFIRM_SAMPLE", 2)
    crowd = Crowd(flows, LIST_FROM)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id)
        await until(lambda: flows.asked("list_instances") >= 1)
        await asyncio.to_thread(flows.client.delete_workflow, crowd.workflow_id)
        asked = await asyncio.to_thread(flows.asked, "get_instance")
        await until(lambda: flows.asked("get_instance") >= asked + 3 * len(crowd.ids))
        assert not any(task.done() for task in tasks)
        await asyncio.to_thread(crowd.go)
        assert await all_of(tasks) == crowd.ends

    run(scene)


def test_a_newcomer_is_looked_at_soon_however_long_the_interval_is(flows):
    crowd = Crowd(flows, 3)
    crowd.go(crowd.ids[2])

    async def scene(poller: Poller) -> None:
        others = begin(poller, crowd.ids[:2], crowd.workflow_id, 3600.0)
        await until(lambda: flows.asked("get_instance") >= 2)
        (newcomer,) = await all_of(begin(poller, crowd.ids[2:], crowd.workflow_id, 3600.0))
        assert newcomer == Verdict("ended", crowd.ids[2])
        for task in others:
            assert not task.done()
            task.cancel()

    run(scene)


def test_the_shortest_interval_wins(flows):
    crowd = Crowd(flows, 2)

    async def scene(poller: Poller) -> None:
        slow = begin(poller, crowd.ids[:1], crowd.workflow_id, 3600.0)
        fast = begin(poller, crowd.ids[1:], crowd.workflow_id, 0.1)
        await asyncio.to_thread(crowd.go)
        assert await all_of([*slow, *fast]) == crowd.ends

    run(scene)


def test_an_error_of_the_list_concerns_all_and_all_go_on(flows, said):
    crowd = Crowd(flows, LIST_FROM)
    flows.emulator.fault("list_instances", "status", times=2, status=503)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id)
        await until(lambda: flows.asked("list_instances") >= 4)
        assert not any(task.done() for task in tasks)
        await asyncio.to_thread(crowd.go)
        assert await all_of(tasks) == crowd.ends

    run(scene)
    for one in crowd.ids:
        assert len(said.having(f"instance {one} cannot be read", "warning")) == 1
        assert said.having(f"instance {one} can be read again", "info")
    assert len(said.having("503", "warning")) == len(crowd.ids)


def test_an_error_of_one_concerns_no_other(flows, said):
    crowd = Crowd(flows, 3)
    ids = [*crowd.ids, "nobody"]

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, ids, crowd.workflow_id, not_found_after=2)
        async with asyncio.timeout(10):
            verdict = await tasks[3]
        assert (verdict.verdict, verdict.instance_id) == ("not_found", "nobody")
        await asyncio.to_thread(crowd.go)
        assert await all_of(tasks[:3]) == crowd.ends

    run(scene)
    assert len(said.having("cannot be read")) == 1


def test_an_error_of_a_watch_is_that_of_its_waiter_only(flows):
    crowd = Crowd(flows, 2)

    class Broken(Watch):
        def take(self, look):
            raise ServerTroubleError("broken")

    async def scene(poller: Poller) -> None:
        broken = poller.wait(Broken(crowd.ids[0], structlog.get_logger()), crowd.workflow_id, Interval(0.1))
        (other,) = begin(poller, crowd.ids[1:], crowd.workflow_id)
        with pytest.raises(ServerTroubleError, match="broken"):
            await broken
        await asyncio.to_thread(crowd.go, crowd.ids[1])
        assert await all_of([other]) == crowd.ends[1:]

    run(scene)


def test_what_the_server_asks_for_is_kept_to(flows):
    instance_id = flows.ended(flows.run(send("a"))).id
    flows.emulator.fault("get_instance", "status", status=429, headers={"Retry-After": "1"})

    async def scene(poller: Poller) -> None:
        began = time.monotonic()
        assert await all_of(begin(poller, [instance_id], None, 0.05)) == [Verdict("ended", instance_id)]
        assert time.monotonic() - began >= 1.0

    flows.emulator.reset_counters()
    run(scene)
    assert flows.asked("get_instance") == 2


def test_one_token_and_a_bounded_number_of_connections(flows):
    crowds = [Crowd(flows, 2) for _ in range(15)]

    async def scene(poller: Poller) -> None:
        tasks: list[asyncio.Task[Verdict]] = []
        for crowd in crowds:
            tasks += begin(poller, crowd.ids, crowd.workflow_id)
        await until(lambda: flows.asked("get_instance") >= 90)
        counters = await asyncio.to_thread(flows.emulator.counters)
        assert counters["tokens"] <= 1
        assert counters["connections"] <= 8
        for crowd in crowds:
            await asyncio.to_thread(crowd.go)
        assert len(await all_of(tasks)) == 30

    run(scene)


def test_it_survives_the_one_who_began_it(flows):
    crowd = Crowd(flows, 2)

    async def scene(poller: Poller) -> None:
        first, second = begin(poller, crowd.ids, crowd.workflow_id)
        await until(lambda: flows.asked("get_instance") >= 2)
        first.cancel()
        await asyncio.to_thread(crowd.go, crowd.ids[1])
        assert await all_of([second]) == crowd.ends[1:]
        assert first.cancelled()

    run(scene)
