"""
Looks at those who wait, by a list or one by one; and what those are told for whom nothing can be asked.

Metrics, by Airflow's Stats, all with the tags ``conn_id`` and ``hostname``:

- ``formance.poller.requests`` (counter): requests to Flows (a request for a token is not among them).
- ``formance.poller.failures`` (counter): looks that failed.
- ``formance.poller.ends`` (counter): verdicts handed to waiting tasks.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Set
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_orchestration.exceptions import CONCERN_ALL, FormanceError, IncompleteListError
from airflow_provider_orchestration.run import settings
from airflow_provider_orchestration.run.wait import budget
from airflow_provider_orchestration.run.wait.lists import (
    CONFIRM_BY_LIST_FROM,
    CONFIRM_SAMPLE,
    LIST_FROM,
    confirm_ended,
    running_ids,
)
from airflow_provider_orchestration.run.wait.pauses import Pauses
from airflow_provider_orchestration.run.wait.threads import ThreadedClient
from airflow_provider_orchestration.run.wait.watch import Look, look_unless_refused

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.run.wait.waiters import Group, Waiter

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)

#: Looks handed out before the event loop has its turn: each may wake a task, or write a line to its log.
_HANDED_OUT_AT_ONCE = 16


class Looks:
    """The looks of a poller, at its groups; when it has them is its own."""

    def __init__(self, formance_conn_id: str) -> None:
        self._client = ThreadedClient(formance_conn_id)
        self._tags = {"conn_id": formance_conn_id, "hostname": socket.gethostname()}
        self._groups: dict[str, Group] = {}
        self._waiting = 0
        self._under_way: set[asyncio.Task[None]] = set()
        self._pauses = Pauses()
        self._pace = budget.Pace(settings.single_reads_per_second)

    def _begin(self, doing: Coroutine[Any, Any, None]) -> None:
        self._under_way.add(task := asyncio.create_task(doing))
        task.add_done_callback(self._under_way.discard)

    async def call(self, function: Callable[Concatenate[FlowsClient, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one function with the client in the poller's threads."""
        self._count("requests")
        return await self._client.call(function, *args, **kwargs)

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
                if not optional and (paused := self._pauses.error()):
                    given_up.append(paused)
                    return
                waiter = pending.popleft()
                if late > waiter.interval.seconds:
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
            look = Look(error=as_known(error))
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

    async def _tell_all_of_refusal(self) -> None:
        """Tell all, also those for whom nothing was asked: they wait as long as the others."""
        if error := self._pauses.error():
            waiters = [waiter for group in self._groups.values() for waiter in group.waiters()]
            for group in self._groups.values():
                group.failing.update(group.waiters())
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
        if self._pauses.failed(error):
            self._begin(self._tell_all_of_refusal())


def as_known(error: Exception) -> FormanceError:
    """Return an error as one of ours."""
    return error if isinstance(error, FormanceError) else FormanceError(f"{type(error).__name__}: {error}")
