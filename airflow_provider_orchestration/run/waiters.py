"""Those who wait at the poller: each with its watch and its interval, grouped by workflow."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_orchestration.run.watch import Look, Verdict, Watch


@dataclass
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


@dataclass(eq=False)
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
        self.interval.grow()
        try:
            verdict = self.context.copy().run(self.watch.take, look)
        except Exception as error:  # noqa: BLE001 - handed to the waiter
            self.verdict.set_exception(error)
        else:
            if verdict is not None:
                self.verdict.set_result(verdict)


@dataclass(eq=False)
class Group:
    """All who wait for instances of one workflow, or for one instance of a workflow that is not known."""

    workflow_id: str | None
    waiters: list[Waiter] = field(default_factory=list)
    due: float = float("inf")
    busy: bool = False

    def look_within(self, seconds: float) -> None:
        """Have the next look in so many seconds at the latest."""
        self.due = min(self.due, asyncio.get_running_loop().time() + seconds)
