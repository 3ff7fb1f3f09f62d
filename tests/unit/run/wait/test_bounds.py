"""What a triggerer shares is bounded over all connections, and bad servers harm no others."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import pytest

from airflow_provider_orchestration.exceptions import AuthenticationError
from airflow_provider_orchestration.run.wait import pollers, pools
from airflow_provider_orchestration.run.wait.budget import Pace
from airflow_provider_orchestration.run.wait.pauses import Pauses
from airflow_provider_orchestration.run.wait.poller import Poller
from airflow_provider_orchestration.run.wait.pollers import poller_for
from airflow_provider_orchestration.run.wait.waiters import Group
from tests.support.flows import Flows
from tests.support.scripted_server import Answer, ScriptedServer
from tests.support.waiting import Crowd, all_of, begin, run, threads

pytestmark = pytest.mark.usefixtures("impatient")
SILENT, GOOD = 60, 20


@pytest.fixture
def rate(monkeypatch) -> Callable[[float], None]:
    return lambda rate: monkeypatch.setenv("AIRFLOW__FORMANCE__SINGLE_READS_PER_SECOND", str(rate))


def test_servers_that_hang_keep_nobody_else_waiting(flows: Flows, connect_airflow, monkeypatch):
    crowd = Crowd(flows, GOOD)
    good = [f"good_{number}" for number in range(GOOD)]
    for name in good:
        connect_airflow(flows.emulator, name)
    with ScriptedServer(Answer(how="hang")) as server:
        silent = [f"silent_{number}" for number in range(SILENT)]
        hangs = json.dumps(
            {"conn_type": "formance", "host": server.url, "extra": {"read_timeout": 1, "flows_path": "/"}}
        )
        for name in silent:
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", hangs)

        async def play() -> None:
            waiting = [task for name in silent for task in begin(poller_for(name), ["i1", "i2"], None, 0.1)]
            # Each has hung once, and is known for it.
            await asyncio.sleep(4.0)
            ends = [
                task for name, one in zip(good, crowd.ids, strict=True) for task in begin(poller_for(name), [one], None)
            ]
            began = time.monotonic()
            await asyncio.to_thread(crowd.go)
            assert await all_of(ends) == crowd.ends
            assert time.monotonic() - began < 5.0
            assert len(threads()) <= sum(pools.SIZES.values()) == 64
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

        asyncio.run(play())


def test_pollers_that_nobody_uses_go(flows: Flows, monkeypatch):
    monkeypatch.setattr(pollers, "IDLE_FOR", 0.0)
    crowd = Crowd(flows, 1)

    async def scene(poller: Poller) -> None:
        (task,) = begin(poller, crowd.ids, crowd.workflow_id)
        await asyncio.sleep(0.01)
        for number in range(20):
            poller_for(f"nobody waits there {number}")
        known = pollers._pollers[asyncio.get_running_loop()]
        assert poller_for("formance_default") is poller
        assert set(known) == {"formance_default", "nobody waits there 19"}
        await asyncio.to_thread(crowd.go)
        assert await all_of([task]) == crowd.ends

    run(scene)


def test_a_pace_gives_turns_in_order():
    async def play() -> None:
        pace = Pace(lambda: 20.0)
        order: list[int] = []

        async def turn(number: int) -> float:
            waited = await pace.wait(Pauses())
            order.append(number)
            return waited

        waited = await asyncio.gather(*(turn(number) for number in range(40)))
        assert order == list(range(40))
        # The first second's at once, then one every 0.05 s.
        assert waited[19] < 0.1
        assert 0.9 < waited[39] < 1.5

    asyncio.run(play())


def test_a_pause_lets_nobody_wait_for_a_turn():
    async def play() -> None:
        pace, pauses = Pace(lambda: 1.0), Pauses()
        await pace.wait(pauses)
        waiting = [asyncio.create_task(pace.wait(pauses)) for _ in range(10)]
        await asyncio.sleep(0.1)
        pauses.failed(AuthenticationError("no"))
        async with asyncio.timeout(2):
            await asyncio.gather(*waiting)

    asyncio.run(play())


def test_many_whom_no_list_shows_are_read_at_a_rate(flows: Flows, rate, said, monkeypatch):
    """Their workflow was deleted: its list is empty, so each is looked at."""
    rate(10)
    took: list[float] = []
    rest = Group.rest

    def watched(group: Group, began: float, seconds: float, **how: bool) -> None:
        took.append(seconds)
        rest(group, began, seconds, **how)

    monkeypatch.setattr(Group, "rest", watched)
    crowd = Crowd(flows, 40)
    flows.client.delete_workflow(crowd.workflow_id)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id, 0.5)
        await asyncio.sleep(3.0)
        assert 20 <= flows.asked("get_instance") <= 45
        await asyncio.to_thread(crowd.go)
        assert await all_of(tasks) == crowd.ends

    run(scene)
    late = said.having("looked at one by one, 10 a second, so later", "warning")
    assert 0 < len(late) <= 40
    # The waiting for turns is not taken for a slow server, which would be left alone three times as long.
    assert took
    assert max(took) < 1.5
