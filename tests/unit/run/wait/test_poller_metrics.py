"""The metrics of a poller, by Airflow's Stats."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, defaultdict
from typing import Any

import pytest

from airflow_provider_orchestration.run.wait import looks, poller
from airflow_provider_orchestration.run.wait.lists import LIST_FROM
from airflow_provider_orchestration.run.wait.poller import Poller
from tests.support.waiting import CONNECTION, Crowd, all_of, begin, run, until

pytestmark = pytest.mark.usefixtures("impatient")


class Recorder:
    """Keeps what is handed to Airflow's Stats."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.seen: defaultdict[str, list[float]] = defaultdict(list)
        self.tags: list[Any] = []

    def incr(self, name: str, count: int = 1, *, tags: Any) -> None:
        self.counted[name] += count
        self.tags.append(tags)

    def gauge(self, name: str, value: float, *, tags: Any) -> None:
        self.seen[name].append(value)
        self.tags.append(tags)

    timing = gauge


@pytest.fixture
def stats(monkeypatch) -> Recorder:
    recorder = Recorder()
    for module in (looks, poller):
        monkeypatch.setattr(module, "Stats", recorder)
    return recorder


@pytest.mark.parametrize("size", [LIST_FROM - 1, LIST_FROM + 2], ids=["read", "listed"])
def test_what_is_asked_waits_and_ends_is_counted(flows, stats, size):
    crowd = Crowd(flows, size)
    flows.emulator.fault("list_instances" if size >= LIST_FROM else "get_instance", "status", status=503)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id)
        await until(lambda: flows.asked("list_instances") + flows.asked("get_instance") >= 3 * size)
        await asyncio.to_thread(crowd.go)
        asked = await asyncio.to_thread(lambda: flows.emulator.counters()["requests"]["send_event"])
        assert await all_of(tasks) == crowd.ends
        assert asked == size

    run(scene)
    asked = flows.emulator.counters()["requests"]
    ours = ("list_instances", "get_workflow", "get_instance", "get_instance_history", "get_instance_stage_history")
    told = {name.removeprefix("formance.poller."): count for name, count in stats.counted.items()}
    # The test itself reads instances, too, to see their ends.
    assert size < told["requests"] <= sum(asked.get(name, 0) for name in ours)
    assert (told["failures"], told["ends"]) == (1, size)
    waiting = stats.seen["formance.poller.waiting"]
    assert (max(waiting), waiting[-1]) == (size, 0)
    assert stats.seen["formance.poller.behind"]
    assert min(stats.seen["formance.poller.behind"]) >= 0
    assert all(tags == {"conn_id": CONNECTION, "hostname": socket.gethostname()} for tags in stats.tags)
