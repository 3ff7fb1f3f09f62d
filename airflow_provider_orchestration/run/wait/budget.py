"""
What may be spent on requests: a process on looks that no waiting depends on (stages told in a log, stuck and dead runs
found), a poller on looks at one instance each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_orchestration.run import settings

if TYPE_CHECKING:
    from airflow_provider_orchestration.run.wait.pauses import Pauses

#: Seconds for which requests that were not spent are kept.
_KEPT_FOR = 20.0


class Budget:
    """
    So many requests a second, shared by all pollers of a process.

    :param rate: gives the requests a second; read at each look, so that a changed setting holds at once.
    :param kept_for: seconds for which requests that were not spent are kept.
    """

    def __init__(
        self, rate: Callable[[], float], clock: Callable[[], float] = time.monotonic, *, kept_for: float = _KEPT_FOR
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._kept_for = kept_for
        self._left = 0.0
        self._counted_at = clock()

    def left(self) -> float:
        """Return how many requests may be sent now; below 0 where more were sent than there were."""
        now, rate = self._clock(), self._rate()
        self._left = min(self._left + (now - self._counted_at) * rate, rate * self._kept_for)
        self._counted_at = now
        return self._left

    def share(self, part: float) -> int:
        """Return how many of them a part (0 to 1) of all may send now: at least one, where there is one."""
        left = self.left()
        return max(1, int(left * part)) if left >= 1 else 0

    def spend(self, requests: int) -> None:
        """Take note of requests that were sent."""
        self._left -= requests


class Pace:
    """
    Gives requests their turn in the order in which they come, so many a second; a second's are given at once.

    :param rate: gives the requests a second, at least 1.
    """

    def __init__(self, rate: Callable[[], float]) -> None:
        self._rate = rate
        self._budget = Budget(rate, kept_for=1.0)
        self._budget.spend(-int(rate()))
        self._turn = asyncio.Lock()

    async def wait(self, pauses: Pauses) -> float:
        """Wait for a turn, or for the beginning of a pause; return how many seconds that took."""
        came_at = time.monotonic()
        # The lock is fair, so that not all who wait wake for each turn.
        async with self._turn:
            while (left := self._budget.left()) < 1 and not pauses.now:  # noqa: ASYNC110 - what is waited for is the time
                await asyncio.sleep((1 - left) / self._rate())
            if not pauses.now:
                self._budget.spend(1)
        return time.monotonic() - came_at


stage_reads = Budget(settings.stage_reads_per_second)
