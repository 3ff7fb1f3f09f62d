"""
One process with N waiting tasks, as Airflow's triggerer has them or bare, to measure their CPU and memory.

Reads what to do as JSON from its first argument, writes JSON lines: ``ready`` when all have begun to wait, an answer to
each line of its standard input (``measure``, ``events``; some have an argument as JSON), and ends with it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
from airflow.triggers.base import BaseTrigger, TriggerEvent

#: Standard output, which log lines are kept away from.
ANSWERS = os.fdopen(os.dup(1), "w")
#: Triggers that begin between two pauses, and seconds of a pause. Airflow's triggerer takes 50 a second by its default,
#: and lets the event loop have its turn twice for each; here it is the same, with shorter pauses.
BATCH, BATCH_PAUSE = 50, 0.02
#: Log lines of a call.
LINES = 10
#: Seconds between two beats of the event loop, by which its holds are seen.
BEAT = 0.001


class IdleTrigger(BaseTrigger):
    """A trigger that waits for what never comes: what any waiting task costs."""

    def __init__(self, number: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.number = number

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the argument."""
        return "client.IdleTrigger", {"number": self.number}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield nothing."""
        await asyncio.get_running_loop().create_future()
        yield TriggerEvent({})  # type: ignore[no-untyped-call]


class Client:
    """The tasks that wait, and what is seen of them."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.events: dict[str, float] = {}
        self.longest = Holds()
        #: Seconds of Python's garbage collector since the last beat, and when the one that runs began.
        self.collecting = 0.0
        self.collecting_since: float | None = None
        self.tasks: set[asyncio.Task[Any]] = set()
        self.client: Any = None

    async def run(self) -> None:
        """Begin to wait, answer, end."""
        coroutines = getattr(self, f"_{self.order['kind']}")()
        gc.callbacks.append(self._watch_collections)
        if self.order.get("watch_holds"):
            self._begin(self._watch_holds())
        for number, coroutine in enumerate(coroutines):
            self._begin(coroutine)
            await asyncio.sleep(0)
            await asyncio.sleep(BATCH_PAUSE if number % BATCH == 0 else 0)
        tell({"ready": len(coroutines)})
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            word, _, argument = line.partition(" ")
            tell(getattr(self, f"_tell_{word}")(*([json.loads(argument)] if argument else [])))
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _begin(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)

    async def _wait(self, key: str, trigger: BaseTrigger) -> None:
        async for event in trigger.run():
            self.events.setdefault(key, time.time())
            if event.payload.get("verdict") not in ("ended", None):
                raise RuntimeError(f"{key}: {event.payload}")

    def _idle(self) -> list[Coroutine[Any, Any, Any]]:
        if self.order.get("modules"):
            # What any provider that speaks HTTP has loaded, and a triggerer, too.
            import airflow_provider_orchestration.api.client
            import airflow_provider_orchestration.run.wait.poller  # noqa: F401
        return [self._wait(str(number), IdleTrigger(number)) for number in range(self.order["tasks"])]

    def _formance(self) -> list[Coroutine[Any, Any, Any]]:
        from airflow_provider_orchestration.triggers.instance import InstanceEndTrigger

        deadline = time.time() + 86400
        return [
            self._wait(
                instance,
                InstanceEndTrigger(
                    formance_conn_id="formance_default",
                    instance_id=instance,
                    workflow_id=workflow,
                    poll_interval=self.order["interval"],
                    deadline=deadline,
                ),
            )
            for instance, workflow in self.order["instances"]
        ]

    def _event(self) -> list[Coroutine[Any, Any, Any]]:
        from airflow_provider_orchestration.triggers.instance import EventStageTrigger

        return [
            self._wait(
                instance,
                EventStageTrigger(
                    formance_conn_id="formance_default",
                    instance_id=instance,
                    workflow_id=workflow,
                    event=self.order["event"],
                    poll_interval=self.order["interval"],
                ),
            )
            for instance, workflow in self.order["instances"]
        ]

    def _calls(self) -> list[Coroutine[Any, Any, Any]]:
        """Return nobody who waits: calls are made as they are asked for, by one hook."""
        from airflow.sdk.log import mask_secret

        from airflow_provider_orchestration.api.client import FlowsClient
        from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook

        client = OrchestrationHook().get_conn()
        self.client = FlowsClient(client.settings, on_token=mask_secret) if self.order["mask_each"] else client
        return []

    def _dbt_cloud(self) -> list[Coroutine[Any, Any, Any]]:
        from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

        return [
            self._wait(
                str(number),
                DbtCloudRunJobTrigger(
                    conn_id="dbt_cloud_default",
                    run_id=number,
                    end_time=time.time() + 86400,
                    poll_interval=self.order["interval"],
                    account_id=1,
                ),
            )
            for number in range(self.order["tasks"])
        ]

    def _bare(self) -> list[Coroutine[Any, Any, Any]]:
        """Return the least that waiting by one list can cost: a list each interval, which wakes N futures."""
        futures: dict[int, asyncio.Future[None]] = {}

        async def one(number: int) -> None:
            while True:
                futures[number] = asyncio.get_running_loop().create_future()
                await futures[number]

        async def look() -> None:
            import requests

            listed = msgspec.json.Decoder(Listing)
            with requests.Session() as session:
                session.headers["Authorization"] = f"Bearer {self.order['token']}"
                while True:
                    answer = await asyncio.to_thread(
                        session.get, self.order["list_url"], timeout=60, verify=self.order["certificate"]
                    )
                    running = {item.id for item in listed.decode(answer.content).data}
                    if len(running) < self.order["tasks"]:
                        raise RuntimeError(f"{len(running)} run")
                    for future in list(futures.values()):
                        if not future.done():
                            future.set_result(None)
                    await asyncio.sleep(self.order["interval"])

        return [one(number) for number in range(self.order["tasks"])] + [look()]

    async def _watch_holds(self) -> None:
        while True:
            self.collecting, begun, worked = 0.0, time.perf_counter(), time.process_time()
            await asyncio.sleep(BEAT)
            # Where it ran in another thread, that one may not have come to tell of its end yet.
            self._note_collection()
            held = time.perf_counter() - begun - BEAT - self.collecting
            busy = time.process_time() - worked - self.collecting
            self.longest.hold = max(self.longest.hold, held)
            self.longest.own = max(self.longest.own, min(held, busy))

    def _watch_collections(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self.collecting_since = time.perf_counter()
        else:
            self._note_collection()
            self.collecting_since = None

    def _note_collection(self) -> None:
        if self.collecting_since is not None:
            now = time.perf_counter()
            took, self.collecting_since = now - self.collecting_since, now
            self.collecting += took
            self.longest.collection = max(self.longest.collection, took)

    def _tell_measure(self) -> dict[str, Any]:
        """Tell what this process has cost so far, and the longest holds since the last time it was asked."""
        longest, self.longest = self.longest, Holds()
        return {
            "cpu": time.process_time(),
            "memory": memory("VmRSS"),
            "ended": len(self.events),
            "longest": asdict(longest),
        }

    def _tell_call(self) -> dict[str, Any]:
        """Make a call, and write the log lines of a task, which Airflow looks through for secrets."""
        from airflow.sdk.log import redact  # type: ignore[attr-defined]

        self.client.list_triggers()
        for line in range(LINES):
            redact(f"stage 2/3 wait_event 'approved': waiting ({line})")
        return {}

    def _tell_events(self) -> dict[str, float]:
        return self.events


@dataclass
class Holds:
    """
    The longest times in seconds that the event loop was held.

    :param hold: without Python's collector of garbage.
    :param own: what of that this process was at work; for the rest another one had its core.
    :param collection: Python's collector, which goes through all that the process holds.
    """

    hold: float = 0.0
    own: float = 0.0
    collection: float = 0.0


class Listed(msgspec.Struct, gc=False):
    """An item of a list."""

    id: str


class Listing(msgspec.Struct):
    """A list of instances."""

    data: list[Listed]


def memory(which: str) -> int:
    """Return a line of the kernel's word on this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


def tell(answer: object) -> None:
    """Write one line."""
    ANSWERS.write(json.dumps(answer) + "\n")
    ANSWERS.flush()


if __name__ == "__main__":
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    asyncio.run(Client(json.loads(Path(sys.argv[1]).read_text())).run())
