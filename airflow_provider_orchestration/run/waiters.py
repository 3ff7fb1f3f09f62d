"""Those who wait at the poller: each with its watch and its interval, grouped by workflow."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_orchestration.run.watch import Look, Verdict, Watch


@dataclass(slots=True)
class Interval:
    """
    Seconds between two looks for one waiter.

    :param grows: double them after each look, up to ``longest`` (None: without end).
    """

    seconds: float
    grows: bool = False
    longest: float | None = None

    def grow(self) -> None:
        """Take note of a look."""
        if self.grows:
            self.seconds = min(self.seconds * 2, self.longest or float("inf"))


@dataclass(eq=False, slots=True)
class Waiter:
    """One who waits for the verdict of a watch; log lines are written in its context."""

    watch: Watch
    interval: Interval
    verdict: asyncio.Future[Verdict]
    context: contextvars.Context

    def take(self, look: Look) -> None:
        """Hand a look to the watch, and its verdict, if there is one, to the waiter."""
        if self.verdict.done():
            return
        try:
            verdict = self.context.run(self.watch.take, look)
        except Exception as error:  # noqa: BLE001 - handed to the waiter
            self.verdict.set_exception(error)
        else:
            if verdict is not None:
                self.verdict.set_result(verdict)


@dataclass(eq=False)
class Group:
    """All who wait for instances of one workflow, or for one instance of a workflow that is not known."""

    workflow_id: str | None
    #: Loop time of the next look.
    due: float = float("inf")
    busy: bool = False
    by_instance: dict[str, list[Waiter]] = field(default_factory=dict)
    size: int = 0
    #: Counts those who came, so that a look can tell whether somebody came while it went on.
    arrivals: int = 0
    #: Items of the last list of the running instances.
    listed: int = 0
    #: Those who want every look to be a full one, and those whose last look failed.
    eager: set[Waiter] = field(default_factory=set)
    failing: set[Waiter] = field(default_factory=set)
    _turn: deque[Waiter] = field(default_factory=deque)

    def add(self, waiter: Waiter) -> None:
        """Add one who waits."""
        self.by_instance.setdefault(waiter.watch.instance_id, []).append(waiter)
        self.size += 1
        self.arrivals += 1
        if waiter.watch.reads_always:
            self.eager.add(waiter)
        else:
            self._turn.append(waiter)

    def remove(self, waiter: Waiter) -> None:
        """Remove one who waits no longer."""
        same = self.by_instance[waiter.watch.instance_id]
        same.remove(waiter)
        if not same:
            del self.by_instance[waiter.watch.instance_id]
        self.size -= 1
        self.eager.discard(waiter)
        self.failing.discard(waiter)

    def waiters(self, instance_ids: Iterable[str] | None = None) -> Iterator[Waiter]:
        """Yield those who wait, for some instances or for all."""
        for instance_id in list(self.by_instance) if instance_ids is None else instance_ids:
            yield from self.by_instance.get(instance_id, ())

    def interval(self) -> float:
        """Return the shortest interval of those who wait, in seconds."""
        return min((waiter.interval.seconds for waiter in self.waiters()), default=1.0)

    def looked(self) -> None:
        """Take note of a look at all."""
        for waiter in self.waiters():
            if waiter.interval.grows:
                waiter.interval.grow()

    def next_in_turn(self, at_most: int) -> list[Waiter]:
        """Return those whose turn it is to have their stages read, of whom each looks at a few."""
        chosen: list[Waiter] = []
        for _ in range(min(len(self._turn), at_most * 20)):
            waiter = self._turn.popleft()
            if waiter.verdict.done():
                continue
            self._turn.append(waiter)
            if waiter.watch.wants_history:
                chosen.append(waiter)
                if len(chosen) >= at_most:
                    break
        return chosen

    def look_within(self, seconds: float) -> None:
        """Have the next look in so many seconds at the latest."""
        self.due = min(self.due, asyncio.get_running_loop().time() + seconds)
