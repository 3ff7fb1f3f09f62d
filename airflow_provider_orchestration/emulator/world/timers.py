"""One heap of what is to happen when: thousands of instances cost no task and no thread each."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

Job = Callable[[], Any]


class Timers:
    """Jobs by the time at which they are due (nanoseconds since 1970).

    :param clock: tells the time.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.paused = False
        self.wake: Callable[[], None] = lambda: None
        self._heap: list[tuple[int, int, Job]] = []
        self._count = 0

    def add(self, due: int, job: Job) -> None:
        """Do a job when its time has come; a job that is no longer wanted must see so itself."""
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, job))
        if self._heap[0][1] == self._count:
            self.wake()

    def next(self) -> int | None:
        """When the next job is due; None if there is none, or nothing moves."""
        return self._heap[0][0] if self._heap and not self.paused else None

    def run_due(self, at_most: int = 200) -> int:
        """Do the jobs that are due, a bounded number of them; gives how many."""
        done = 0
        now = self.clock()
        while self._heap and not self.paused and self._heap[0][0] <= now and done < at_most:
            heapq.heappop(self._heap)[2]()
            done += 1
        return done

    def clear(self) -> None:
        """Forget all jobs."""
        self._heap.clear()
