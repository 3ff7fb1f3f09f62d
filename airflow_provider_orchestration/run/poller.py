"""
One reader of a stack for all who wait in one event loop.

A poller begins with its first waiter, survives it, and ends after the last. It runs in an empty context of its own; the
log lines about an instance are written in the context of the task that waits for it, so that the log of a task holds
only its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import time
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_orchestration.exceptions import AuthenticationError, FormanceError
from airflow_provider_orchestration.run import settings
from airflow_provider_orchestration.run.lists import ended_ids, running_ids
from airflow_provider_orchestration.run.searching import SharedSearch
from airflow_provider_orchestration.run.threads import ThreadedClient
from airflow_provider_orchestration.run.waiters import Group, Interval, Waiter
from airflow_provider_orchestration.run.watch import Look, Verdict, Watch, take_look

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.run.recovery import Search

P = ParamSpec("P")
T = TypeVar("T")

#: From this number of waiters on one workflow, one list is asked for instead of each instance...
LIST_FROM = 10
#: ... unless the list holds more items than so many for each waiter: on the real server a single read costs 21 ms, an
#: item of a list 25 us (flows-api, "What bites", 11).
ITEMS_PER_READ = 800
#: From this number of instances that vanished from the list at once, one more list confirms them...
CONFIRM_BY_LIST_FROM = 100
#: ... unless the workflow has had more instances than this: that list holds all that ever were.
CONFIRM_BY_LIST_UP_TO = 20_000

_SHORTEST_SLEEP = 0.05
_LONGEST_SLEEP = 60.0
#: Seconds that a newcomer waits for its first look where others wait already, so that a burst shares one.
_NEWCOMER_WAITS = 1.0


class Poller:
    """The reader of one Airflow connection in one event loop; get it by :func:`poller_for`."""

    def __init__(self, formance_conn_id: str) -> None:
        self._client = ThreadedClient(formance_conn_id)
        self._tags = {"conn_id": formance_conn_id}
        self._groups: dict[str, Group] = {}
        self._searches: dict[str, SharedSearch] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._all_instances: dict[str, int] = {}
        self._stage_reads = 0.0
        self._stage_reads_counted = time.monotonic()

    async def wait(self, watch: Watch, workflow_id: str | None, interval: Interval) -> Verdict:
        """
        Wait until the looks at one instance end in a verdict.

        :param workflow_id: its workflow, None if not known; all who wait for one share its looks, and the shortest
            interval wins.
        """
        key = workflow_id or watch.instance_id
        group = self._groups.setdefault(key, Group(workflow_id))
        waiter = Waiter(watch, interval, asyncio.get_running_loop().create_future(), contextvars.copy_context())
        group.add(waiter)
        group.look_within(_NEWCOMER_WAITS if group.size > 1 else 0.0)
        with self._client.used():
            try:
                if self._task is None or self._task.done():
                    self._task = asyncio.create_task(self._run(), context=contextvars.Context())
                self._changed.set()
                return await waiter.verdict
            finally:
                group.remove(waiter)
                if not group.size and self._groups.get(key) is group:
                    del self._groups[key]
                    self._changed.set()

    async def find(self, search: Search, until: float, interval: float) -> str | None:
        """Look for a lost submission together with all who look for one of the same workflow."""
        shared = self._searches.setdefault(search.workflow_id, SharedSearch(self.call, interval))
        with self._client.used():
            try:
                return await shared.find(search, until)
            finally:
                if not shared.seekers:
                    self._searches.pop(search.workflow_id, None)

    async def call(self, function: Callable[Concatenate[FlowsClient, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one function with the client in the poller's threads."""
        Stats.incr("formance.poller.calls", tags=self._tags)
        return await self._client.call(function, *args, **kwargs)

    async def _run(self) -> None:
        """Have each group looked at when it is due."""
        loop = asyncio.get_running_loop()
        while self._groups:
            self._changed.clear()
            now = loop.time()
            idle = [group for group in self._groups.values() if not group.busy]
            for group in idle:
                if group.due <= now:
                    group.busy = True
                    Stats.timing("formance.poller.behind", (now - group.due) * 1000, tags=self._tags)
                    task = asyncio.create_task(self._serve(group))
                    self._serving.add(task)
                    task.add_done_callback(self._serving.discard)
            Stats.gauge("formance.poller.waiting", sum(g.size for g in self._groups.values()), tags=self._tags)
            wake = min((group.due for group in idle if not group.busy), default=now + _LONGEST_SLEEP)
            await asyncio.sleep(_SHORTEST_SLEEP)
            try:
                async with asyncio.timeout(max(0.0, wake - loop.time())):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _serve(self, group: Group) -> None:
        """Have one look at a group, and say when the next is due."""
        loop = asyncio.get_running_loop()
        began, arrivals, retry_after = loop.time(), group.arrivals, 0.0
        group.due = float("inf")
        try:
            if self._by_list_is_cheaper(group):
                retry_after = await self._by_list(group, str(group.workflow_id))
            else:
                retry_after = await self._one_by_one(group, group.waiters())
        except Exception as error:  # noqa: BLE001 - told to all whom it concerns
            retry_after = self._give_error(error, group, group.waiters())
        finally:
            took = loop.time() - began
            group.looked()
            # A server that is slow, or says so, is asked less often; the jitter keeps many triggerers apart.
            jitter = random.uniform(0.9, 1.0)  # noqa: S311
            group.look_within(max(group.interval() * jitter - took, took * 3, retry_after))
            if group.arrivals != arrivals:
                group.look_within(max(_NEWCOMER_WAITS, took * 3, retry_after))
            group.busy = False
            self._changed.set()

    def _by_list_is_cheaper(self, group: Group) -> bool:
        return (
            group.workflow_id is not None
            and group.size >= LIST_FROM
            and group.listed <= len(group.by_instance) * ITEMS_PER_READ
        )

    async def _by_list(self, group: Group, workflow_id: str) -> float:
        running = await self.call(running_ids, workflow_id)
        group.listed = len(running)
        for waiter in [one for one in group.failing if one.watch.instance_id in running]:
            group.failing.discard(waiter)
            waiter.take(Look(listed=True))
        vanished = group.by_instance.keys() - running
        if len(vanished) >= CONFIRM_BY_LIST_FROM and self._all_instances.get(workflow_id, 0) <= CONFIRM_BY_LIST_UP_TO:
            ended, self._all_instances[workflow_id] = await self.call(ended_ids, workflow_id)
            for waiter in group.waiters(vanished & ended):
                self._give(Look(terminated=True), waiter)
            vanished -= ended
        in_turn = group.next_in_turn(self._stage_read_budget())
        self._stage_reads -= len(in_turn)
        alone = {*group.waiters(vanished), *group.eager, *in_turn}
        return await self._one_by_one(group, alone)

    async def _one_by_one(self, group: Group, waiters: Iterable[Waiter]) -> float:
        return max(await asyncio.gather(*(self._read_one(group, waiter) for waiter in waiters)), default=0.0)

    async def _read_one(self, group: Group, waiter: Waiter) -> float:
        watch = waiter.watch
        look = await self.call(take_look, watch.instance_id, with_history=watch.wants_history)
        if look.error is not None:
            return self._give_error(look.error, group, [waiter])
        group.failing.discard(waiter)
        self._give(look, waiter)
        return 0.0

    def _give(self, look: Look, waiter: Waiter) -> None:
        waiter.take(look)
        if waiter.verdict.done():
            Stats.incr("formance.poller.ends", tags=self._tags)

    def _give_error(self, error: Exception, group: Group, waiters: Iterable[Waiter]) -> float:
        Stats.incr("formance.poller.failures", tags=self._tags)
        if isinstance(error, AuthenticationError):
            self._client.doubt()
        known = error if isinstance(error, FormanceError) else FormanceError(f"{type(error).__name__}: {error}")
        for waiter in waiters:
            group.failing.add(waiter)
            waiter.take(Look(error=known))
        return getattr(error, "retry_after", None) or 0.0

    def _stage_read_budget(self) -> int:
        rate = settings.stage_reads_per_second()
        now = time.monotonic()
        self._stage_reads = min(self._stage_reads + (now - self._stage_reads_counted) * rate, rate * _LONGEST_SLEEP)
        self._stage_reads_counted = now
        return int(self._stage_reads)


_pollers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Poller]] = weakref.WeakKeyDictionary()


def poller_for(formance_conn_id: str) -> Poller:
    """Return the poller of a connection in the running event loop."""
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    return pollers.setdefault(formance_conn_id, Poller(formance_conn_id))
