"""Those who wait at the poller: each with its watch and its interval, grouped by workflow."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_orchestration.run.wait.lists import ListCost

if TYPE_CHECKING:
    from airflow_provider_orchestration.run.wait.watch import Look, Verdict, Watch

#: Seconds after which the stages of a waiting instance are told again, where the budget allows it.
STAGES_EVERY = 60.0
#: A look is followed by a pause of at least this many times as long as it took, so that a server that has become slow,
#: or gives long lists page by page, is asked for a quarter of the time at the most.
_PAUSE_FACTOR = 3.0
#: Seconds to which failed looks in a row, each doubling the pause, can stretch it.
_LONGEST_PAUSE = 60.0
#: Seconds that an interval grows to, where nothing else is said.
LONGEST_INTERVAL = 300.0


@dataclass(slots=True)
class Interval:
    """
    Seconds between two looks for one waiter.

    :param grows: double them after each look of its own, up to ``longest`` (None: five minutes, or ``seconds`` if they
        are more).
    """

    seconds: float
    grows: bool = False
    longest: float | None = None
    #: Loop time of the next look of its own: others in the group may look more often.
    due: float = float("-inf")

    def looked(self, now: float) -> None:
        """Take note of a look at this loop time: one that was due is its own, and lets the interval grow."""
        if not self.grows or now < self.due:
            return
        if self.due > float("-inf"):
            self.seconds = min(self.seconds * 2, self.longest or max(LONGEST_INTERVAL, self.seconds))
        self.due = now + self.seconds


@dataclass(eq=False, slots=True)
class Waiter:
    """One who waits for the verdict of a watch; log lines are written in its context."""

    watch: Watch
    interval: Interval
    verdict: asyncio.Future[Verdict]
    context: contextvars.Context
    #: Loop time of the last look at the instance itself.
    looked_at: float = float("-inf")
    _told_late: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether the verdict is that the instance has ended."""
        verdict = self.verdict
        return (
            verdict.done()
            and not verdict.cancelled()
            and not verdict.exception()
            and verdict.result().verdict == "ended"
        )

    def tell_late(self, rate: float) -> None:
        """Say once that a look came late, because many are looked at one by one, so many a second."""
        if not self._told_late:
            self._told_late = True
            said = "many wait for instances that no list shows: they are looked at one by one, %g a second, so later"
            self.context.run(self.watch.log.warning, said, rate)

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
    #: Loop time of the next look at all, and at those who have just come.
    due: float = float("-inf")
    newcomers_due: float = float("inf")
    #: Loop time before which there is no look at all: the server is slow, or wants to be left alone.
    not_before: float = float("-inf")
    #: Looks in a row that failed for all.
    failures: int = 0
    busy: bool = False
    #: Seconds of the look under way in which the server was not asked, but a turn waited for.
    waited_for_turns: float = 0.0
    list_cost: ListCost = field(default_factory=ListCost)
    by_instance: dict[str, list[Waiter]] = field(default_factory=dict)
    size: int = 0
    #: Those whom no look has seen yet.
    newcomers: set[Waiter] = field(default_factory=set)
    #: Those who want every look to be a full one, and those whose last look failed.
    eager: set[Waiter] = field(default_factory=set)
    failing: set[Waiter] = field(default_factory=set)
    _intervals: Counter[float] = field(default_factory=Counter)
    _growing: set[Waiter] = field(default_factory=set)
    #: In the order in which their stages are told next.
    _turn: dict[Waiter, None] = field(default_factory=dict)

    def add(self, waiter: Waiter) -> None:
        """Add one who waits."""
        self.by_instance.setdefault(waiter.watch.instance_id, []).append(waiter)
        self.size += 1
        self.newcomers.add(waiter)
        if waiter.watch.reads_always:
            self.eager.add(waiter)
        else:
            self._turn[waiter] = None
        if waiter.interval.grows:
            self._growing.add(waiter)
        else:
            self._intervals[waiter.interval.seconds] += 1

    def remove(self, waiter: Waiter) -> None:
        """Remove one who waits no longer."""
        same = self.by_instance[waiter.watch.instance_id]
        same.remove(waiter)
        if not same:
            del self.by_instance[waiter.watch.instance_id]
        self.size -= 1
        for some in (self.newcomers, self.eager, self.failing, self._growing):
            some.discard(waiter)
        self._turn.pop(waiter, None)
        if not waiter.interval.grows:
            self._intervals[waiter.interval.seconds] -= 1
            if not self._intervals[waiter.interval.seconds]:
                del self._intervals[waiter.interval.seconds]

    def waiters(self, instance_ids: Iterable[str] | None = None) -> Iterator[Waiter]:
        """Yield those who wait, for some instances or for all."""
        for instance_id in list(self.by_instance) if instance_ids is None else instance_ids:
            yield from self.by_instance.get(instance_id, ())

    def interval(self) -> float:
        """Return the shortest interval of those who wait, in seconds."""
        growing = min((waiter.interval.seconds for waiter in self._growing), default=float("inf"))
        return min(min(self._intervals, default=float("inf")), growing)

    def _next_due(self, began: float) -> float:
        """Return the loop time of the next look at all, after one that began at this one."""
        # The jitter keeps many triggerers apart.
        steady = began + min(self._intervals, default=float("inf")) * random.uniform(0.9, 1.0)  # noqa: S311
        return min(steady, min((waiter.interval.due for waiter in self._growing), default=float("inf")))

    def next_look(self) -> float:
        """Return the loop time of the next look."""
        return max(min(self.due, self.newcomers_due), self.not_before)

    def rest(self, began: float, took: float, *, failed: bool, everyone: bool) -> None:
        """Have the next look after a pause that fits the one that began at this loop time and took so many seconds."""
        interval = self.interval()
        self.failures = self.failures + 1 if failed else 0
        pause = min(took * _PAUSE_FACTOR, LONGEST_INTERVAL)
        if failed:
            pause = max(pause, min(interval * 2 ** min(self.failures - 1, 10), _LONGEST_PAUSE))
        self.not_before = asyncio.get_running_loop().time() + pause
        if everyone:
            for waiter in self._growing:
                waiter.interval.looked(began)
            self.due = self._next_due(began)

    def next_in_turn(self, at_most: int) -> list[Waiter]:
        """Return those whose stages are told next, of whom each looks at a few."""
        chosen: list[Waiter] = []
        now = asyncio.get_running_loop().time()
        for waiter in list(self._turn)[: at_most * 20] if at_most > 0 else ():
            if waiter.watch.wants_history or now - waiter.looked_at >= STAGES_EVERY:
                chosen.append(waiter)
            # Whoever was looked at is the last in the next round.
            self._turn[waiter] = self._turn.pop(waiter)
            if len(chosen) >= at_most:
                break
        return chosen
