"""One search for all who look for a lost submission of the same workflow: each history is read once for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from airflow_provider_orchestration.run.submit.recovery import KeyScan, Scanned, Search, not_scanned

#: Seconds after a look until the next one for a newcomer, whatever the interval.
_NEWCOMER_WAITS = 1.0


@dataclass(eq=False)
class _Seeker:
    search: Search
    until: float
    interval: float
    found: asyncio.Future[str | None]
    context: contextvars.Context


@dataclass(eq=False)
class SharedSearch:
    """
    Looks again and again for the run keys of one workflow, until each is found or its time is up.

    :param scan: runs a function with the client and further arguments in a thread (:meth:`Poller.call`).
    """

    scan: Callable[..., Awaitable[Scanned]]
    seekers: list[_Seeker] = field(default_factory=list)
    _keys: KeyScan = field(default_factory=KeyScan)
    _task: asyncio.Task[None] | None = None
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def find(self, search: Search, until: float, interval: float) -> str | None:
        """
        Return the instance that bears the key, or None when epoch second ``until`` has passed.

        :param interval: seconds between two looks; the shortest of all who look wins.

        The search's log lines are written in the context of the one that asks.
        """
        found = asyncio.get_running_loop().create_future()
        seeker = _Seeker(search, until, interval, found, contextvars.copy_context())
        self.seekers.append(seeker)
        self._came.set()
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._look(), context=contextvars.Context())
            return await seeker.found
        finally:
            self.seekers.remove(seeker)

    async def _look(self) -> None:
        # Those who come in the same moment share the first look, too.
        await asyncio.sleep(0)
        while seekers := self._unanswered():
            self._came.clear()
            since = min(seeker.search.since for seeker in seekers)
            until = max(seeker.until for seeker in seekers)
            try:
                scanned = await self.scan(self._keys.scan, seekers[0].search.workflow_id, since, until=until)
            except Exception as error:  # noqa: BLE001 - a look that fails says nothing
                scanned = not_scanned(error)
            for seeker in seekers:
                self._tell(seeker, scanned)
                # Each compares all candidates with its key: with a thousand of both the event loop would be held.
                await asyncio.sleep(0)
            await self._rest(scanned.retry_after)

    async def _rest(self, retry_after: float) -> None:
        """Wait for the next look: soon after a newcomer, and not before the server wants to be asked again."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        alone_until = began + retry_after
        while seekers := self._unanswered():
            interval = min(seeker.interval for seeker in seekers)
            due = began + (min(_NEWCOMER_WAITS, interval) if self._came.is_set() else interval)
            up = loop.time() + min(seeker.until for seeker in seekers) - time.time()
            wait = min(max(due, alone_until), up) - loop.time()
            if wait > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await (asyncio.sleep(_NEWCOMER_WAITS) if self._came.is_set() else self._came.wait())
            elif loop.time() < alone_until:
                # Somebody's time is up, and the server is not to be asked.
                for seeker in seekers:
                    if time.time() >= seeker.until:
                        self._tell(seeker, Scanned(error="the server wants to be left alone"))
            else:
                return

    def _unanswered(self) -> list[_Seeker]:
        return [seeker for seeker in self.seekers if not seeker.found.done()]

    def _tell(self, seeker: _Seeker, scanned: Scanned) -> None:
        if seeker.found.done():
            return
        try:
            found = seeker.context.copy().run(seeker.search.take, scanned)
        except Exception as error:  # noqa: BLE001 - handed to the one who asked
            seeker.found.set_exception(error)
            return
        if found is not None or time.time() >= seeker.until:
            seeker.found.set_result(found)
