"""
One reader of a stack for all who wait in one event loop.

A poller begins with its first waiter, survives it, and ends after the last. It runs in an empty context of its own; the
log lines about an instance are written in the context of the task that waits for it, so that the log of a task holds
only its own.

Metrics, beside those of :mod:`~.looks`:

- ``formance.poller.waiting`` (gauge): tasks that wait at this poller.
- ``formance.poller.behind`` (timer, milliseconds): how much later a look comes than its tasks asked for; it grows where
  the server is slow or answers 429.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import random
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_orchestration.run.submit.searching import SharedSearch
from airflow_provider_orchestration.run.wait.kill import Pulse
from airflow_provider_orchestration.run.wait.looks import Looks, as_known
from airflow_provider_orchestration.run.wait.waiters import Group, Interval, Waiter

if TYPE_CHECKING:
    from airflow_provider_orchestration.run.submit.recovery import Search
    from airflow_provider_orchestration.run.wait.watch import Verdict, Watch

log = logging.getLogger(__name__)

_SHORTEST_SLEEP = 0.05
_LONGEST_SLEEP = 5.0
#: Seconds that a newcomer waits for its first look where others wait already, so that a burst shares one.
_NEWCOMER_WAITS = 1.0


class Poller(Looks):
    """The reader of one Airflow connection in one event loop; get it by :func:`~.pollers.poller_for`."""

    def __init__(self, formance_conn_id: str) -> None:
        super().__init__(formance_conn_id)
        self._searches: dict[str, SharedSearch] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
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
        due: list[Group] = []
        for group in self._groups.values():
            if group.busy:
                continue
            at = max(group.next_look(), self._pauses.until)
            if at > now:
                wake = min(wake, at)
            else:
                due.append(group)
        if due and self._pauses.refusing:
            # One looks for all, each time another one: an answer may be about one instance only.
            due = [] if self._under_way else [random.choice(due)]  # noqa: S311
        for group in due:
            group.busy = True
            self._begin(self._serve(group, everyone=group.due <= now))
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
            known = as_known(error)
            self._note(known)
            await self._give_error(known, group, list(group.waiters()))
        finally:
            group.rest(began, took, failed=failed, everyone=everyone or by_list)
            group.busy = False
            self._changed.set()

    @property
    def in_use(self) -> bool:
        """Whether somebody waits, or asks something."""
        return self._client.in_use
