"""What a process may spend on looks that no waiting depends on: stages told in a log, stuck and dead runs found."""

from __future__ import annotations

import time
from collections.abc import Callable

from airflow_provider_orchestration.run import settings

#: Seconds for which requests that were not spent are kept.
_KEPT_FOR = 20.0


class Budget:
    """
    So many requests a second, shared by all pollers of a process.

    :param rate: gives the requests a second; read at each look, so that a changed setting holds at once.
    """

    def __init__(self, rate: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._left = 0.0
        self._counted_at = clock()

    def left(self) -> float:
        """Return how many requests may be sent now; below 0 where more were sent than there were."""
        now, rate = self._clock(), self._rate()
        self._left = min(self._left + (now - self._counted_at) * rate, rate * _KEPT_FOR)
        self._counted_at = now
        return self._left

    def share(self, part: float) -> int:
        """Return how many of them a part (0 to 1) of all may send now: at least one, where there is one."""
        left = self.left()
        return max(1, int(left * part)) if left >= 1 else 0

    def spend(self, requests: int) -> None:
        """Take note of requests that were sent."""
        self._left -= requests


stage_reads = Budget(settings.stage_reads_per_second)
