"""
One reader of a stack for all who wait in one event loop.

Requests run in a bounded set of threads and are decoded there. A poller begins with its first waiter, survives it, and
ends after the last. It runs in an empty context of its own; the log lines about an instance are written in the context
of the task that waits for it, so that the log of a task holds only its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from airflow_provider_orchestration.exceptions import AuthenticationError, FormanceError
from airflow_provider_orchestration.run.searching import SharedSearch
from airflow_provider_orchestration.run.waiters import Group, Interval, Waiter
from airflow_provider_orchestration.run.watch import Look, Verdict, Watch, take_look

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.api.session import ClientSettings
    from airflow_provider_orchestration.run.recovery import Search

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

#: From this number of waiters on one workflow, one list is asked for instead of each instance.
LIST_FROM = 10
#: From this number of instances that vanished from the list at once, one more list confirms them.
CONFIRM_BY_LIST_FROM = 20
#: Requests at once, and so connections, of one poller.
REQUESTS_AT_ONCE = 8
#: Single reads a second, beside the lists, that tell the stages of those who wait.
STAGE_READS_PER_SECOND = 5.0
#: Seconds after which a connection changed in Airflow is taken up.
CONNECTION_HOLDS = 60.0

_SHORTEST_SLEEP = 0.05
#: Seconds that a newcomer waits for its first look where others wait already, so that a burst shares one.
_NEWCOMER_WAITS = 1.0


class Poller:
    """The reader of one Airflow connection in one event loop; get it by :func:`poller_for`."""

    def __init__(self, formance_conn_id: str) -> None:
        self._conn_id = formance_conn_id
        self._groups: dict[str, Group] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._searches: dict[str, SharedSearch] = {}
        self._users = 0
        self._threads: ThreadPoolExecutor | None = None
        self._client: FlowsClient | None = None
        self._settings: ClientSettings | None = None
        self._settings_read = float("-inf")
        self._settings_lock = asyncio.Lock()
        self._stage_reads = 0.0
        self._stage_reads_counted = time.monotonic()

    async def wait(self, watch: Watch, workflow_id: str | None, interval: Interval) -> Verdict:
        """
        Wait until the looks at one instance end in a verdict.

        :param workflow_id: its workflow, None if not known; all who wait for one share its looks, and the shortest
            interval wins.
        """
        key = workflow_id or watch.instance_id
        waiter = Waiter(watch, interval, asyncio.get_running_loop().create_future(), contextvars.copy_context())
        group = self._groups.setdefault(key, Group(workflow_id))
        group.waiters.append(waiter)
        group.look_within(_NEWCOMER_WAITS if len(group.waiters) > 1 else 0.0)
        self._enter()
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._run(), context=contextvars.Context())
            self._changed.set()
            return await waiter.verdict
        finally:
            group.waiters.remove(waiter)
            if not group.waiters and self._groups.get(key) is group:
                del self._groups[key]
                self._changed.set()
            self._leave()

    async def find(self, search: Search, until: float, interval: float) -> str | None:
        """Look for a lost submission together with all who look for one of the same workflow."""
        shared = self._searches.setdefault(search.workflow_id, SharedSearch(self.call, interval))
        self._enter()
        try:
            return await shared.find(search, until)
        finally:
            self._leave()

    async def call(self, function: Callable[Concatenate[FlowsClient, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one function with the client in the poller's threads."""
        self._enter()
        try:
            return await self._call(await self._get_client(), function, *args, **kwargs)
        finally:
            self._leave()

    def _enter(self) -> None:
        self._users += 1

    def _leave(self) -> None:
        self._users -= 1
        if self._users == 0:
            if self._threads is not None:
                self._threads.shutdown(wait=False)
            if self._client is not None:
                self._client.close()
            self._threads = self._client = self._settings = None
            self._searches.clear()
            self._settings_read = float("-inf")

    async def _call(
        self, client: FlowsClient, function: Callable[Concatenate[FlowsClient, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="formance-poller")
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: function(client, *args, **kwargs)
        )

    async def _get_client(self) -> FlowsClient:
        from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook

        async with self._settings_lock:
            if self._client is None or time.monotonic() - self._settings_read > CONNECTION_HOLDS:
                settings = await OrchestrationHook.get_async_settings(self._conn_id)
                self._settings_read = time.monotonic()
                if self._client is None or settings != self._settings:
                    self._settings, self._client = settings, OrchestrationHook.client_for(settings)
            return self._client

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._groups:
            self._changed.clear()
            now = loop.time()
            idle = [group for group in self._groups.values() if not group.busy]
            for group in idle:
                if group.due <= now:
                    group.busy = True
                    task = asyncio.create_task(self._serve(group))
                    self._serving.add(task)
                    task.add_done_callback(self._serving.discard)
            wake = min((group.due for group in idle if not group.busy), default=now + CONNECTION_HOLDS)
            await asyncio.sleep(_SHORTEST_SLEEP)
            try:
                async with asyncio.timeout(max(0.0, wake - loop.time())):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _serve(self, group: Group) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiters = list(group.waiters)
        retry_after = 0.0
        try:
            client = await self._get_client()
            if group.workflow_id is not None and len(waiters) >= LIST_FROM:
                retry_after = await self._by_list(client, group.workflow_id, waiters)
            else:
                retry_after = await self._one_by_one(client, waiters)
        except Exception as error:
            if not isinstance(error, FormanceError):
                log.debug("reading for those who wait failed", exc_info=True)
            retry_after = self._give_error(error, waiters)
        finally:
            took = loop.time() - began
            interval = min((waiter.interval.seconds for waiter in group.waiters), default=1.0)
            # A server that is slow, or says so, is asked less often; the jitter keeps many triggerers apart.
            jitter = random.uniform(0.9, 1.0)  # noqa: S311
            group.due = loop.time() + max(interval * jitter - took, took * 3, retry_after)
            if len(group.waiters) > 0 and group.waiters[-1] is not waiters[-1]:
                group.look_within(max(_NEWCOMER_WAITS, took * 3, retry_after))
            group.busy = False
            self._changed.set()

    def _give_error(self, error: Exception, waiters: Iterable[Waiter]) -> float:
        if isinstance(error, AuthenticationError):
            self._settings_read = float("-inf")
        known = error if isinstance(error, FormanceError) else FormanceError(f"{type(error).__name__}: {error}")
        for waiter in waiters:
            waiter.take(Look(error=known))
        return getattr(error, "retry_after", None) or 0.0

    async def _one_by_one(self, client: FlowsClient, waiters: Iterable[Waiter]) -> float:
        return max(await asyncio.gather(*(self._read_one(client, waiter) for waiter in waiters)), default=0.0)

    async def _read_one(self, client: FlowsClient, waiter: Waiter) -> float:
        watch = waiter.watch
        look = await self._call(client, take_look, watch.instance_id, with_history=watch.wants_history)
        if look.error is not None:
            return self._give_error(look.error, [waiter])
        waiter.take(look)
        return 0.0

    async def _by_list(self, client: FlowsClient, workflow_id: str, waiters: list[Waiter]) -> float:
        running = await self._call(client, _running_ids, workflow_id)
        listed = [waiter for waiter in waiters if waiter.watch.instance_id in running]
        vanished = [waiter for waiter in waiters if waiter.watch.instance_id not in running]
        for waiter in listed:
            waiter.take(Look(listed=True))
        if len(vanished) >= CONFIRM_BY_LIST_FROM:
            ended = await self._call(client, _ended, workflow_id)
            for waiter in vanished:
                if (instance := ended.get(waiter.watch.instance_id)) is not None:
                    waiter.take(Look(instance=instance))
            vanished = [waiter for waiter in vanished if waiter.watch.instance_id not in ended]
        wanting = [waiter for waiter in listed if waiter.watch.wants_history][: self._stage_read_budget()]
        self._stage_reads -= len(wanting)
        return await self._one_by_one(client, [*vanished, *wanting])

    def _stage_read_budget(self) -> int:
        now = time.monotonic()
        self._stage_reads = min(
            self._stage_reads + (now - self._stage_reads_counted) * STAGE_READS_PER_SECOND, STAGE_READS_PER_SECOND * 60
        )
        self._stage_reads_counted = now
        return int(self._stage_reads)


def _running_ids(client: FlowsClient, workflow_id: str) -> frozenset[str]:
    return frozenset(instance.id for instance in client.list_instances(workflow_id, running=True, retries=0))


def _ended(client: FlowsClient, workflow_id: str) -> dict[str, Instance]:
    return {one.id: one for one in client.list_instances(workflow_id, retries=0) if one.terminated}


_pollers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Poller]] = weakref.WeakKeyDictionary()


def poller_for(formance_conn_id: str) -> Poller:
    """Return the poller of a connection in the running event loop."""
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    return pollers.setdefault(formance_conn_id, Poller(formance_conn_id))
