"""One search for all who look for a lost submission of the same workflow: each history is read once for all of them."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from airflow_provider_orchestration.run.submit.recovery import KeyScan, Scanned, Search


@dataclass(eq=False)
class _Seeker:
    search: Search
    until: float
    found: asyncio.Future[str | None]
    context: contextvars.Context


@dataclass(eq=False)
class SharedSearch:
    """
    Looks again and again for the run keys of one workflow, until each is found or its time is up.

    :param scan: runs a function with the client and further arguments in a thread (:meth:`Poller.call`).
    :param interval: seconds between two looks.
    """

    scan: Callable[..., Awaitable[Scanned]]
    interval: float
    seekers: list[_Seeker] = field(default_factory=list)
    _keys: KeyScan = field(default_factory=KeyScan)
    _task: asyncio.Task[None] | None = None

    async def find(self, search: Search, until: float) -> str | None:
        """
        Return the instance that bears the key, or None when epoch second ``until`` has passed.

        The search's log lines are written in the context of the one that asks.
        """
        seeker = _Seeker(search, until, asyncio.get_running_loop().create_future(), contextvars.copy_context())
        self.seekers.append(seeker)
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._look(), context=contextvars.Context())
            return await seeker.found
        finally:
            self.seekers.remove(seeker)

    async def _look(self) -> None:
        # Those who come in the same moment share the first look, too.
        await asyncio.sleep(0)
        while self.seekers:
            seekers = list(self.seekers)
            since = min(seeker.search.since for seeker in seekers)
            try:
                scanned = await self.scan(self._keys.scan, seekers[0].search.workflow_id, since)
            except Exception as error:  # noqa: BLE001 - a look that fails says nothing
                scanned = Scanned(error=str(error))
            for seeker in seekers:
                self._tell(seeker, scanned)
                # Each compares all candidates with its key: with a thousand of both the event loop would be held.
                await asyncio.sleep(0)
            wake = min((seeker.until for seeker in self.seekers), default=0.0) - time.time()
            await asyncio.sleep(max(0.0, min(self.interval, wake)))

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
