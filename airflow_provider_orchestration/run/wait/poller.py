"""
One reader of a stack for all who wait in one event loop.

A poller begins with its first waiter, survives it, and ends after the last. It runs in an empty context of its own; the
log lines about an instance are written in the context of the task that waits for it, so that the log of a task holds
only its own.

Metrics, by Airflow's Stats, all with the tags ``conn_id`` and ``hostname``:

- ``formance.poller.waiting`` (gauge): tasks that wait at this poller.
- ``formance.poller.requests`` (counter): requests to Flows (a request for a token is not among them).
- ``formance.poller.failures`` (counter): looks that failed.
- ``formance.poller.behind`` (timer, milliseconds): how much later a look comes than its tasks asked for; it grows where
  the server is slow or answers 429.
- ``formance.poller.ends`` (counter): verdicts handed to waiting tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import random
import socket
from collections import deque
from collections.abc import Callable, Iterable, Set
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_orchestration.exceptions import CONCERN_ALL, FormanceError, IncompleteListError
from airflow_provider_orchestration.run import settings
from airflow_provider_orchestration.run.submit.searching import SharedSearch
from airflow_provider_orchestration.run.wait import budget
from airflow_provider_orchestration.run.wait.kill import Pulse
from airflow_provider_orchestration.run.wait.lists import (
    CONFIRM_BY_LIST_FROM,
    CONFIRM_SAMPLE,
    LIST_FROM,
    confirm_ended,
    running_ids,
)
from airflow_provider_orchestration.run.wait.pauses import Pauses
from airflow_provider_orchestration.run.wait.threads import ThreadedClient
from airflow_provider_orchestration.run.wait.waiters import Group, Interval, Waiter
from airflow_provider_orchestration.run.wait.watch import Look, Verdict, Watch, look_unless_refused

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.run.submit.recovery import Search

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)

_SHORTEST_SLEEP = 0.05
_LONGEST_SLEEP = 5.0
#: Seconds that a newcomer waits for its first look where others wait already, so that a burst shares one.
_NEWCOMER_WAITS = 1.0
#: Looks handed out before the event loop has its turn: each may wake a task, or write a line to its log.
_HANDED_OUT_AT_ONCE = 16


class Poller:
    """The reader of one Airflow connection in one event loop; get it by :func:`~.pollers.poller_for`."""

    def __init__(self, formance_conn_id: str) -> None:
        self._client = ThreadedClient(formance_conn_id)
        self._tags = {"conn_id": formance_conn_id, "hostname": socket.gethostname()}
        self._groups: dict[str, Group] = {}
        self._searches: dict[str, SharedSearch] = {}
        self._waiting = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._pauses = Pauses()
        self._pace = budget.Pace(settings.single_reads_per_second)
        #: Beats every 5 s; Airflow gives a triggerer up after 30.
        self.pulse = Pulse(20.0)

    async def wait(self, watch: Watch, workflow_id: str | None, interval: Interval) -> Verdict:
        """
        Wait until the looks at one instance end in a verdict.

        :param workflow_id: its workflow, None if not known; all who wait for one share its looks, and the shortest
            interval wins.
        """
        key = workflow_id or watch.instance_id
        group = self._groups.setdefault(key, Group(workflow_id))
        loop = asyncio.get_running_loop()
        waiter = Waiter(watch, interval, loop.create_future(), contextvars.copy_context())
        group.add(waiter)
        group.newcomers_due = min(group.newcomers_due, loop.time() + _NEWCOMER_WAITS)
        self._waiting += 1
        self._client.begin_use()
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._run(), context=contextvars.Context())
            self._changed.set()
            return await waiter.verdict
        finally:
            self._waiting -= 1
            group.remove(waiter)
            if not group.size and self._groups.get(key) is group:
                del self._groups[key]
                self._changed.set()
            self._client.end_use()

    async def find(self, search: Search, until: float, interval: float) -> str | None:
        """Look for a lost submission together with all who look for one of the same workflow."""
        shared = self._searches.setdefault(search.workflow_id, SharedSearch(self.call))
        self._client.begin_use()
        try:
            return await shared.find(search, until, interval)
        finally:
            if not shared.seekers:
                self._searches.pop(search.workflow_id, None)
            self._client.end_use()

    async def call(self, function: Callable[Concatenate[FlowsClient, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one function with the client in the poller's threads."""
        self._count("requests")
        return await self._client.call(function, *args, **kwargs)

    async def _run(self) -> None:
        """Have each group looked at when it is due."""
        loop = asyncio.get_running_loop()
        self.pulse.begin()
        while self._groups:
            self._changed.clear()
            self.pulse.beat()
            try:
                wake = self._serve_those_due(loop.time())
            except Exception:
                # Whatever it is, those who wait are not to wait for ever.
                log.exception("the poller goes on after an error of its own")
                wake = loop.time() + _NEWCOMER_WAITS
            await asyncio.sleep(_SHORTEST_SLEEP)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wake - loop.time())):
                    await self._changed.wait()
        Stats.gauge("formance.poller.waiting", 0, tags=self._tags)

    def _serve_those_due(self, now: float) -> float:
        """Begin the looks that are due, and return the loop time of the next one."""
        Stats.gauge("formance.poller.waiting", self._waiting, tags=self._tags)
        wake = now + _LONGEST_SLEEP
        for group in self._groups.values():
            if group.busy:
                continue
            due = max(group.next_look(), self._pauses.until)
            if due > now:
                wake = min(wake, due)
                continue
            group.busy = True
            self._serving.add(task := asyncio.create_task(self._serve(group, everyone=group.due <= now)))
            task.add_done_callback(self._serving.discard)
        return wake

    async def _serve(self, group: Group, *, everyone: bool) -> None:
        """Have one look at a group, at all or at those who have just come, and say when the next is due."""
        loop = asyncio.get_running_loop()
        began, took, failed = loop.time(), 0.0, False
        asked = began
        if everyone and group.due > float("-inf"):
            Stats.timing("formance.poller.behind", (began - group.due) * 1000, tags=self._tags)
        whom = list(group.waiters() if everyone else group.newcomers)
        by_list = group.workflow_id is not None and group.list_cost.is_less_than(len(whom))
        group.newcomers.clear()
        group.newcomers_due = float("inf")
        try:
            group.waited_for_turns = 0.0
            # Not the server's slowness: the libraries are loaded, Airflow is asked for the connection.
            await self._client.prepare()
            asked = loop.time()
            if by_list:
                failed = await self._by_list(group, str(group.workflow_id))
            else:
                failed = await self._one_by_one(group, whom)
            took = loop.time() - asked - group.waited_for_turns
            if by_list:
                await self._tell_stages(group)
        except Exception as error:  # noqa: BLE001 - told to all whom it concerns
            took, failed = took or loop.time() - asked, True
            known = _known(error)
            self._note(known)
            await self._give_error(known, group, list(group.waiters()))
        finally:
            group.rest(began, took, failed=failed, everyone=everyone or by_list)
            group.busy = False
            self._changed.set()

    async def _by_list(self, group: Group, workflow_id: str) -> bool:
        """Look at all by one list, and at those whom it leaves out one by one; tell whether that had to be given up."""
        look, cost = self._unless_paused(running_ids), group.list_cost
        try:
            running = await self._client.call_list(look, workflow_id, cost.length, settings.requests_at_once())
        except IncompleteListError as error:
            # The single reads do without it.
            log.warning("%s", error)
            cost.cannot_be_had(group.size)
            return await self._one_by_one(group, list(group.waiters()))
        self._count("requests", running.requests - 1)
        self._pauses.accepted()
        cost.note(running)
        back = {waiter for waiter in group.failing if waiter.watch.instance_id in running.ids}
        group.failing -= back
        await self._give(Look(listed=True), back)
        vanished = group.by_instance.keys() - running.ids
        if len(vanished) >= CONFIRM_BY_LIST_FROM and not running.paged:
            ended = await self._confirm(group, workflow_id, vanished)
            await self._give(Look(terminated=True), list(group.waiters(ended)))
        alone = {*group.waiters(vanished), *group.eager}
        return await self._one_by_one(group, [waiter for waiter in alone if not waiter.verdict.done()])

    async def _confirm(self, group: Group, workflow_id: str, vanished: Set[str]) -> Set[str]:
        """Return those of many that vanished that have ended for sure; none where it is not as it seems."""
        sample = list(group.waiters(random.sample(list(vanished), CONFIRM_SAMPLE)))
        if await self._one_by_one(group, sample) or not all(waiter.has_ended for waiter in sample):
            return frozenset()
        try:
            self._count("requests")
            return await self._client.call_list(self._unless_paused(confirm_ended), workflow_id, vanished)
        except FormanceError:
            return frozenset()

    async def _tell_stages(self, group: Group) -> None:
        """Look at a few of those who wait, for their logs' sake; a failure is no failure of the waiting."""
        share = budget.stage_reads.share(group.size / max(1, self._waiting))
        await self._one_by_one(group, group.next_in_turn(share), optional=True)

    async def _one_by_one(self, group: Group, waiters: list[Waiter], *, optional: bool = False) -> bool:
        """Look at some, a few at once; tell whether that was given up because of an error that concerns them all."""
        # In another order each time: where a look is given up, it is not always the same ones that go short.
        pending = deque(random.sample(waiters, len(waiters)))
        given_up: list[FormanceError] = []

        async def read() -> None:
            waited = 0.0
            while pending and not given_up:
                late = 0.0 if optional else await self._pace.wait(self._pauses)
                waited += late
                group.waited_for_turns = max(group.waited_for_turns, waited)
                if not pending or given_up:
                    return
                waiter = pending.popleft()
                if late > waiter.interval.seconds and not self._pauses.now:
                    waiter.tell_late(settings.single_reads_per_second())
                error = await self._read_one(group, waiter, optional=optional)
                if isinstance(error, CONCERN_ALL):
                    given_up.append(error)

        await asyncio.gather(*(read() for _ in range(min(len(pending), settings.requests_at_once()))))
        if given_up and not optional:
            await self._give_error(given_up[0], group, pending)
        return bool(given_up)

    async def _read_one(self, group: Group, waiter: Waiter, *, optional: bool) -> FormanceError | None:
        watch = waiter.watch
        few = self._waiting < LIST_FROM
        with_history = watch.wants_history and (few or watch.reads_always or budget.stage_reads.left() >= 1)
        waiter.looked_at = asyncio.get_running_loop().time()
        try:
            look = await self._client.call(
                self._unless_paused(look_unless_refused), watch.instance_id, with_history=with_history
            )
        except Exception as error:  # noqa: BLE001 - told to the one whom it concerns
            look = Look(error=_known(error))
        more = 0 if look.error else with_history + (look.activities is not None)
        self._count("requests", more)
        budget.stage_reads.spend(more + optional)
        if look.error is None:
            self._pauses.accepted()
            group.failing.discard(waiter)
            await self._give(look, [waiter])
            return None
        self._note(look.error)
        if not optional:
            await self._give_error(look.error, group, [waiter])
        return look.error

    async def _give(self, look: Look, waiters: Iterable[Waiter]) -> None:
        for number, waiter in enumerate(waiters, 1):
            waiter.take(look)
            if waiter.verdict.done():
                self._count("ends")
            if number % _HANDED_OUT_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _give_error(self, error: FormanceError, group: Group, waiters: Iterable[Waiter]) -> None:
        group.failing.update(waiter for waiter in waiters if not waiter.verdict.done())
        await self._give(Look(error=error), waiters)

    def _unless_paused(
        self, look: Callable[Concatenate[FlowsClient, P], T]
    ) -> Callable[Concatenate[FlowsClient, P], T]:
        """Let a look that waited for its turn be none where meanwhile the server wants to be left alone."""

        def checked(client: FlowsClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
            self._pauses.check()
            self._count("requests")
            return look(client, *args, **kwargs)

        return checked

    def _count(self, what: str, number: int = 1) -> None:
        if number:
            Stats.incr(f"formance.poller.{what}", number, tags=self._tags)

    def _note(self, error: FormanceError) -> None:
        """Count a failure, and keep to what the server asks for."""
        self._count("failures")
        self._pauses.failed(error)

    @property
    def in_use(self) -> bool:
        """Whether somebody waits, or asks something."""
        return self._client.in_use


def _known(error: Exception) -> FormanceError:
    return error if isinstance(error, FormanceError) else FormanceError(f"{type(error).__name__}: {error}")
