"""Those who wait: their turns, what a list costs, the pace and the budget, and how many are told something."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

import pytest

from airflow_provider_orchestration.exceptions import ServerTroubleError
from airflow_provider_orchestration.run.wait import lists, waiters
from airflow_provider_orchestration.run.wait.budget import Budget
from airflow_provider_orchestration.run.wait.lists import LIST_FROM, ListCost, Running
from airflow_provider_orchestration.run.wait.poller import Poller
from airflow_provider_orchestration.run.wait.waiters import Group, Interval, Waiter
from airflow_provider_orchestration.run.wait.watch import Look, Verdict
from tests.support.waiting import watch


def _waiter(loop: asyncio.AbstractEventLoop, name: str) -> Waiter:
    return Waiter(watch(name), Interval(10.0), loop.create_future(), contextvars.copy_context())


def in_loop(scene: Callable[[], Awaitable[None]]) -> None:
    async def play() -> None:
        await scene()

    asyncio.run(play())


@pytest.mark.parametrize("look", [Look(terminated=True), Look(error=ServerTroubleError("away"))], ids=["end", "error"])
def test_the_event_loop_has_its_turn_while_a_thousand_are_told(look):
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        crowd = [_waiter(loop, str(number)) for number in range(1000)]
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await Poller("any")._give(look, crowd)
        task.cancel()
        assert turns >= 1000 // 16

    in_loop(scene)


def test_all_have_their_turn():
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        group = Group("w")
        crowd = [_waiter(loop, str(number)) for number in range(10)]
        for waiter in crowd:
            group.add(waiter)
        seen: list[Waiter] = []
        for _ in range(4):
            chosen = group.next_in_turn(3)
            for waiter in chosen:
                waiter.looked_at = loop.time()
            seen += chosen
        assert seen == crowd
        # All were looked at a moment ago, and none has a reason to be so again.
        assert group.next_in_turn(3) == []
        crowd[7].looked_at -= waiters.STAGES_EVERY
        assert group.next_in_turn(3) == [crowd[7]]
        assert group.next_in_turn(0) == []
        for waiter in crowd:
            group.remove(waiter)
        assert not group._turn
        assert not group.newcomers

    in_loop(scene)


@pytest.mark.parametrize(
    "reads, listed, paged, cheaper",
    [
        (LIST_FROM - 1, 0, False, False),
        (LIST_FROM, 0, False, True),
        (LIST_FROM, LIST_FROM * lists.ITEMS_PER_READ, False, True),
        (LIST_FROM, LIST_FROM * lists.ITEMS_PER_READ + 1, False, False),
        (LIST_FROM, LIST_FROM * 100, True, True),
        (LIST_FROM, LIST_FROM * 100 + 1, True, False),
    ],
)
def test_a_list_is_asked_for_where_it_is_cheaper(reads, listed, paged, cheaper):
    assert _cost(listed, paged=paged).is_less_than(reads) is cheaper


def test_a_list_that_was_too_long_is_tried_again_one_day():
    cost = _cost(100 * lists.ITEMS_PER_READ * LIST_FROM)
    looks = 1
    while not cost.is_less_than(LIST_FROM):
        looks += 1
        assert looks < 1000
    assert looks > 50


def _cost(length: int, *, paged: bool = False) -> ListCost:
    cost = ListCost()
    cost.note(Running(frozenset(map(str, range(length))), paged))
    return cost


def test_a_list_that_cannot_be_had_is_tried_again_one_day():
    cost = _cost(3)
    cost.cannot_be_had(LIST_FROM)
    looks = 1
    while not cost.is_less_than(LIST_FROM):
        looks += 1
    assert 50 < looks < 70


def test_the_pause_grows_with_the_server_s_slowness_and_with_failures():
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        group = Group("w")
        group.add(_waiter(loop, "one"))

        def next_in() -> float:
            return group.next_look() - loop.time()

        group.newcomers_due = float("inf")
        group.rest(loop.time(), 0.1, failed=False, everyone=True)
        assert 8.9 <= next_in() <= 10.0
        group.rest(loop.time() - 5, 5.0, failed=False, everyone=True)
        assert next_in() == pytest.approx(15.0, abs=0.1)
        group.rest(loop.time() - 30, 30.0, failed=False, everyone=True)
        assert next_in() == pytest.approx(90.0, abs=0.1)
        pauses = []
        for _ in range(5):
            group.rest(loop.time(), 0.1, failed=True, everyone=True)
            pauses.append(round(next_in()))
        assert pauses == [10, 20, 40, 60, 60]
        group.rest(loop.time(), 0.1, failed=False, everyone=True)
        assert next_in() <= 10.0

    in_loop(scene)


def test_the_budget_is_kept_over_time():
    now = 0.0
    few = Budget(lambda: 5.0, clock=lambda: now)
    assert few.left() == 0.0
    now = 2.0
    assert few.left() == 10.0
    assert (few.share(0.5), few.share(0.01)) == (5, 1)
    few.spend(12)
    assert few.left() == -2.0
    assert few.share(1.0) == 0
    now = 1000.0
    # What was not spent is not kept for ever: no burst after a quiet night.
    assert few.left() == 100.0


def test_a_verdict_that_is_an_end():
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        ended, stuck, gone = (_waiter(loop, name) for name in ("a", "b", "c"))
        assert not ended.has_ended
        ended.verdict.set_result(Verdict("ended", "a"))
        stuck.verdict.set_result(Verdict("stuck", "b"))
        gone.verdict.cancel()
        assert [one.has_ended for one in (ended, stuck, gone)] == [True, False, False]

    in_loop(scene)
