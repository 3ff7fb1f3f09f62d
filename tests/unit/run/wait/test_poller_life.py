"""A poller's life: its connection, its context, and that it ends with the last who waits, however that one leaves."""

from __future__ import annotations

import asyncio
import time

import pytest
from structlog.contextvars import bind_contextvars

from airflow_provider_orchestration.run.wait.poller import Poller
from airflow_provider_orchestration.run.wait.pollers import poller_for
from airflow_provider_orchestration.run.wait.waiters import Interval
from airflow_provider_orchestration.run.wait.watch import Verdict
from tests.support.flows import send, wait_event
from tests.support.waiting import Crowd, all_of, begin, run, threads, until, watch

pytestmark = pytest.mark.usefixtures("impatient")


def test_one_poller_for_a_connection_and_a_loop():
    async def pollers() -> tuple[Poller, Poller, Poller]:
        return poller_for("one"), poller_for("one"), poller_for("two")

    first, again, other = asyncio.run(pollers())
    assert first is again
    assert first is not other
    assert asyncio.run(pollers())[0] is not first


@pytest.mark.parametrize("operation", ["get_instance", "token"])
def test_nothing_is_left_of_a_look_whose_waiter_has_gone(flows, operation):
    crowd = Crowd(flows, 1)
    flows.emulator.fault(operation, "delay", seconds=0.5)

    async def scene(poller: Poller) -> None:
        (task,) = begin(poller, crowd.ids, crowd.workflow_id)
        await until(lambda: bool(threads()))
        task.cancel()

    run(scene)


def test_it_can_begin_again(flows):
    crowd = Crowd(flows, 2)
    crowd.go()

    async def scene(poller: Poller) -> None:
        for one, end in zip(crowd.ids, crowd.ends, strict=True):
            assert await all_of(begin(poller, [one], crowd.workflow_id)) == [end]
            await until(lambda: not threads())

    run(scene)


def test_each_line_is_written_in_the_context_of_its_task(flows, said):
    crowd = Crowd(flows, 12)

    async def task(poller: Poller, instance_id: str) -> Verdict:
        bind_contextvars(task=instance_id)
        return await poller.wait(watch(instance_id), crowd.workflow_id, Interval(0.1))

    async def scene(poller: Poller) -> None:
        tasks = [asyncio.create_task(task(poller, one)) for one in crowd.ids]
        await until(lambda: flows.asked("list_instances") >= 1)
        flows.emulator.fault("list_instances", "status", status=503)
        await until(lambda: flows.asked("list_instances") >= 3)
        await asyncio.to_thread(crowd.go)
        assert await all_of(tasks) == crowd.ends

    run(scene)
    for one in crowd.ids:
        lines = [entry["event"] for entry in said.entries if entry.get("task") == one]
        assert any("done in" in line for line in lines)
        assert any(f"instance {one} cannot be read" in line for line in lines)
        assert not any(other in line for line in lines for other in crowd.ids if other != one)


def test_a_connection_that_is_wrong_is_read_again_and_who_waits_goes_on(flows, connect_airflow, said):
    crowd = Crowd(flows, 1)
    crowd.go()
    connect_airflow(flows.emulator, password="wrong-secret")

    async def scene(poller: Poller) -> None:
        (task,) = begin(poller, crowd.ids, crowd.workflow_id)
        await until(lambda: bool(said.having("cannot be read")))
        assert not task.done()
        connect_airflow(flows.emulator)
        assert await all_of([task]) == crowd.ends

    run(scene)
    assert len(said.having("cannot be read", "warning")) == 1
    assert said.having("invalid_client", "warning")
    assert not said.having("wrong-secret")


def test_a_connection_that_is_missing_is_waited_for(flows, connect_airflow, monkeypatch, said):
    crowd = Crowd(flows, 1)
    crowd.go()
    monkeypatch.delenv("AIRFLOW_CONN_FORMANCE_DEFAULT")

    async def scene(poller: Poller) -> None:
        (task,) = begin(poller, crowd.ids, crowd.workflow_id)
        await until(lambda: bool(said.having("formance_default")))
        connect_airflow(flows.emulator)
        assert await all_of([task]) == crowd.ends

    run(scene)


def test_a_server_that_is_down_for_a_while(flows, said):
    instance_id = flows.run(send("a"), wait_event("go"))
    workflow_id = flows.waiting_at(instance_id, 1).workflow_id
    flows.emulator.fault("*", "reset_before", times=6)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, [instance_id], workflow_id, 0.05)
        await until(lambda: bool(said.having("can be read again")))
        await asyncio.to_thread(flows.client.send_event, instance_id, "go")
        assert await all_of(tasks) == [Verdict("ended", instance_id)]

    run(scene)


def test_a_function_is_called_with_the_client_and_raises_what_it_raises(flows):
    async def scene(poller: Poller) -> None:
        name = flows.workflow(send("a")).name
        listed = await poller.call(
            lambda client, wanted: [w for w in client.list_workflows() if w.name == wanted], name
        )
        assert [workflow.name for workflow in listed] == [name]
        with pytest.raises(ZeroDivisionError):
            await poller.call(lambda client: 1 // 0)

    run(scene)


def test_waiters_of_one_instance_each_get_their_end(flows):
    crowd = Crowd(flows, 1)

    async def scene(poller: Poller) -> None:
        known = begin(poller, crowd.ids * 3, crowd.workflow_id)
        unknown = begin(poller, crowd.ids * 2, None)
        await until(lambda: flows.asked("get_instance") >= 5)
        await asyncio.to_thread(crowd.go)
        assert await all_of([*known, *unknown]) == crowd.ends * 5

    run(scene)


def seen(interval: Interval, looks: list[float]) -> list[float]:
    """Return the intervals after looks at these times."""
    told = []
    for now in looks:
        interval.looked(now)
        told.append(interval.seconds)
    return told


def test_an_interval_that_grows_by_its_own_looks():
    interval = Interval(1.0, grows=True, longest=5.0)
    assert seen(interval, [10.0, 11.0, 13.0, 17.0, 22.0]) == [1.0, 2.0, 4.0, 5.0, 5.0]
    # Looks that others asked for are not its own.
    often = Interval(1.0, grows=True)
    assert seen(often, [10.0 + 0.01 * number for number in range(301)])[-1] == 4.0
    assert seen(Interval(1.0), [1.0, 5.0, 9.0]) == [1.0] * 3


def test_it_grows_to_five_minutes_where_nothing_else_is_said():
    for first, longest in ((0.1, 300.0), (600.0, 600.0)):
        interval, now = Interval(first, grows=True), 0.0
        for _ in range(50):
            interval.looked(now)
            now = interval.due
        assert interval.seconds == longest


def test_one_whose_interval_grows_sees_the_end_though_others_look_all_the_time(flows):
    """Each look of anybody doubled everybody's interval: 0.1 s became 107,374,182 s within 3 s."""
    crowd = Crowd(flows, 2)

    async def scene(poller: Poller) -> None:
        growing = asyncio.create_task(
            poller.wait(watch(crowd.ids[0]), crowd.workflow_id, Interval(0.1, grows=True, longest=0.4))
        )
        others = begin(poller, crowd.ids[1:] * 3, crowd.workflow_id, 0.05)
        await asyncio.sleep(2.0)
        await asyncio.to_thread(crowd.go)
        async with asyncio.timeout(3):
            assert await growing == crowd.ends[0]
        assert await all_of(others) == crowd.ends[1:] * 3

    run(scene)


def test_alone_it_looks_as_its_interval_says(flows):
    crowd = Crowd(flows, 1)

    async def scene(poller: Poller) -> None:
        waiting = poller.wait(watch(crowd.ids[0]), crowd.workflow_id, Interval(0.1, grows=True, longest=0.2))
        task = asyncio.create_task(waiting)
        await asyncio.sleep(2.0)
        assert 5 <= flows.asked("get_instance") <= 13
        task.cancel()

    run(scene)


def test_who_looks_ever_less_often_asks_less(flows):
    crowd = Crowd(flows, 1)

    async def scene(poller: Poller) -> None:
        began = time.monotonic()
        task = asyncio.create_task(poller.wait(watch(crowd.ids[0]), crowd.workflow_id, Interval(0.05, grows=True)))
        await until(lambda: flows.asked("get_instance") >= 5)
        # At 0, 0.05, 0.15, 0.35 and 0.75 s.
        assert time.monotonic() - began >= 0.6
        task.cancel()

    run(scene)


def test_a_poller_at_which_nobody_waited_for_long_has_not_stood_still(flows, monkeypatch):
    """Or nobody's cancel would be asked for, as if its process had been paused."""
    first, second = Crowd(flows, 1), Crowd(flows, 1)
    now = time.time

    async def scene(poller: Poller) -> None:
        first.go()
        assert await all_of(begin(poller, first.ids, first.workflow_id)) == first.ends
        await until(lambda: poller._task is not None and poller._task.done())
        monkeypatch.setattr("time.time", lambda: now() + 100.0)
        tasks = begin(poller, second.ids, second.workflow_id)
        await asyncio.sleep(0.2)
        assert not poller.pulse.stood_still()
        monkeypatch.setattr("time.time", lambda: now() + 200.0)
        assert poller.pulse.stood_still()
        second.go()
        assert await all_of(tasks) == second.ends

    run(scene)
