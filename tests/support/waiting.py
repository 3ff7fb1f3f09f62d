"""Many who wait at one poller, in an event loop of which nothing may be left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from airflow_provider_orchestration.run.wait.poller import Poller
from airflow_provider_orchestration.run.wait.pollers import poller_for
from airflow_provider_orchestration.run.wait.waiters import Interval
from airflow_provider_orchestration.run.wait.watch import Verdict, Watch
from tests.support.flows import Flows, wait_event

CONNECTION = "formance_default"


def watch(instance_id: str, **limits: Any) -> Watch:
    return Watch(instance_id, structlog.get_logger("test"), **limits)


def begin(
    poller: Poller, instance_ids: list[str], workflow_id: str | None, seconds: float = 0.2, **limits: Any
) -> list[asyncio.Task[Verdict]]:
    return [
        asyncio.create_task(poller.wait(watch(one, **limits), workflow_id, Interval(seconds))) for one in instance_ids
    ]


async def until(look: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is seen."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(look):  # noqa: ASYNC110 - what is seen is in another process
            await asyncio.sleep(0.02)


async def all_of(tasks: list[asyncio.Task[Verdict]]) -> list[Verdict]:
    async with asyncio.timeout(20):
        return await asyncio.gather(*tasks)


def run(scene: Callable[[Poller], Awaitable[Any]]) -> None:
    """Play a scene, and see that nothing of the poller is left after the last waiter."""

    async def play() -> None:
        await scene(poller_for(CONNECTION))
        async with asyncio.timeout(5):
            while len(asyncio.all_tasks()) > 1 or threads():  # noqa: ASYNC110 - nobody tells of a thread's end
                await asyncio.sleep(0.01)

    asyncio.run(play())


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("formance-poller")]


class Crowd:
    """So many instances of one workflow, each waiting for `go`."""

    def __init__(self, flows: Flows, size: int) -> None:
        self.flows = flows
        self.workflow_id = flows.workflow(wait_event("go")).id
        self.ids = [flows.client.run_workflow(self.workflow_id).id for _ in range(size)]
        for one in self.ids:
            flows.waiting_at(one, 0)
        flows.emulator.reset_counters()

    def go(self, *ids: str) -> None:
        for one in ids or self.ids:
            self.flows.client.send_event(one, "go")
        for one in ids or self.ids:
            self.flows.ended(one)

    @property
    def ends(self) -> list[Verdict]:
        return [Verdict("ended", one) for one in self.ids]
