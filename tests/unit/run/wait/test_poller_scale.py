"""What many waiting tasks ask of a stack: counts of requests and connections, no timing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_orchestration.run.wait import budget, lists
from airflow_provider_orchestration.run.wait.budget import Budget
from airflow_provider_orchestration.run.wait.lists import LIST_FROM
from airflow_provider_orchestration.run.wait.poller import Poller
from tests.support.flows import wait_event
from tests.support.waiting import Crowd, all_of, begin, run, until

MANY = 300


@pytest.fixture
def no_stages(monkeypatch) -> None:
    """No looks but those that the waiting needs."""
    monkeypatch.setenv("AIRFLOW__FORMANCE__STAGE_READS_PER_SECOND", "0")


@pytest.fixture
def no_spared(monkeypatch) -> None:
    """A budget that no test before has filled."""
    monkeypatch.setattr(budget, "stage_reads", Budget(lambda: 0.0))


class Many(Crowd):
    """A crowd that is made and ended by several threads at once."""

    def __init__(self, flows: Any, size: int) -> None:
        self.flows = flows
        self.workflow_id = flows.workflow(wait_event("go")).id
        self.ids = self._all(lambda _: flows.client.run_workflow(self.workflow_id).id, range(size))
        flows.waiting_at(self.ids[-1], 0)
        flows.emulator.reset_counters()

    def _all(self, function: Callable[[Any], Any], items: Any) -> list[Any]:
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(function, items))

    def go(self, *ids: str) -> None:
        self._all(lambda one: self.flows.client.send_event(one, "go"), ids or self.ids)
        for one in ids or self.ids:
            self.flows.ended(one)


def requests(flows: Any) -> dict[str, int]:
    found: dict[str, int] = flows.emulator.counters()["requests"]
    return found


def test_many_cost_one_list_a_look_one_token_and_few_connections(flows, no_stages, no_spared):
    crowd = Many(flows, MANY)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id, 0.2)
        await until(lambda: flows.asked("list_instances") >= 5)
        assert set(requests(flows)) == {"list_instances"}
        # All of them at once: a few are read, the workflow is looked at, and another list tells of the rest.
        await asyncio.to_thread(crowd.go)
        await asyncio.to_thread(flows.emulator.reset_counters)
        assert await all_of(tasks) == crowd.ends

    run(scene)
    counters = flows.emulator.counters()
    assert counters["connections"] <= 8
    assert counters["tokens"] <= 1
    # While they end one after another, those that vanish first are read.
    assert counters["requests"].get("get_instance", 0) < MANY


def test_newcomers_are_read_alone_and_do_not_have_all_listed_again(flows, no_stages, no_spared):
    crowd = Many(flows, LIST_FROM + 3)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids[:-2], crowd.workflow_id, 3600.0)
        # Once more, whether the server cuts lists.
        await until(lambda: flows.asked("list_instances") == 2)
        await asyncio.to_thread(flows.emulator.reset_counters)
        tasks += begin(poller, crowd.ids[-2:], crowd.workflow_id, 3600.0)
        await until(lambda: flows.asked("get_instance") == 2)
        assert requests(flows) == {"get_instance": 2}
        for task in tasks:
            task.cancel()

    run(scene)


def test_stages_of_the_many_are_told_within_the_budget(flows, monkeypatch, said):
    crowd = Many(flows, 40)
    now = 0.0
    monkeypatch.setattr(budget, "stage_reads", spent := Budget(lambda: 5.0, clock=lambda: now))
    now = 2.0  # so much as ten requests

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id, 0.1)
        await until(lambda: flows.asked("list_instances") >= 4)
        reads = sum(requests(flows).values()) - flows.asked("list_instances")
        assert 10 <= reads <= 12
        assert -2 <= spent.left() < 1
        for task in tasks:
            task.cancel()

    run(scene)
    assert said.having("stage 1/1 wait_event 'go': waiting", "info")


def test_an_optional_look_that_fails_is_no_failure_of_the_waiting(flows, said):
    crowd = Many(flows, LIST_FROM)
    flows.emulator.fault("get_instance", "status", times="always", status=500)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id, 0.1, poll_failure_timeout=0.01)
        await until(lambda: flows.asked("list_instances") >= 4)
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()

    run(scene)
    assert not said.having("cannot be read")


def test_nobody_asks_before_the_server_wants_it(flows, no_stages):
    crowd, other = Many(flows, LIST_FROM), Many(flows, 2)
    flows.emulator.fault("list_instances", "status", status=429, headers={"Retry-After": "60"})

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id, 0.05)
        await until(lambda: flows.asked("list_instances") == 1)
        await asyncio.sleep(0.1)
        # Neither for a newcomer, nor for those of another workflow.
        tasks += begin(poller, other.ids, other.workflow_id, 0.05)
        await asyncio.sleep(1.5)
        assert sum(requests(flows).values()) == 1
        for task in tasks:
            task.cancel()

    run(scene)


@pytest.mark.parametrize("size", [LIST_FROM - 1, LIST_FROM], ids=["read", "listed"])
def test_a_server_that_is_slow_is_asked_less_often(flows, no_stages, size):
    crowd = Many(flows, size)
    operation = "list_instances" if size >= LIST_FROM else "get_instance"
    flows.emulator.fault(operation, "delay", times="always", seconds=0.3)

    async def scene(poller: Poller) -> None:
        began = asyncio.get_running_loop().time()
        tasks = begin(poller, crowd.ids, crowd.workflow_id, 0.05)
        per_look = 1 if size >= LIST_FROM else size
        await until(lambda: flows.asked(operation) > 2 * per_look)
        # Two looks, each followed by three times as long as it took: with the interval alone it were 0.6 s.
        assert asyncio.get_running_loop().time() - began >= 2 * (0.3 + 3 * 0.3)
        for task in tasks:
            task.cancel()

    run(scene)


def test_a_look_at_many_ends_with_an_error_that_concerns_them_all(flows, monkeypatch, no_stages, no_spared):
    crowd = Many(flows, 60)
    # So long that they are read one by one.
    monkeypatch.setattr(lists, "ITEMS_PER_READ", 0)
    flows.emulator.fault("get_instance", "status", times="always", status=429)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id, 1.0)
        await until(lambda: flows.asked("get_instance") >= 1)
        await asyncio.sleep(0.5)
        assert flows.asked("get_instance") + flows.asked("list_instances") <= 10
        for task in tasks:
            task.cancel()

    run(scene)


def test_a_changed_connection_is_taken_up_at_once_after_a_401(flows, connect_airflow, no_stages):
    crowd = Many(flows, 2)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id, 0.1)
        await until(lambda: flows.asked("get_instance") >= 2)
        # The old credentials are refused, and a person has given others.
        flows.emulator.fault("get_instance", "status", times=2, status=401)
        connect_airflow(flows.emulator, login="demo-reader", password="demo-reader")
        tokens = flows.emulator.counters()["tokens"]
        await until(lambda: flows.emulator.counters()["tokens"] > tokens)
        assert not any(task.done() for task in tasks)
        await asyncio.to_thread(crowd.go)
        assert await all_of(tasks) == crowd.ends

    run(scene)


def test_a_changed_connection_is_taken_up_after_a_while(flows, connect_airflow, monkeypatch):
    monkeypatch.setattr("airflow_provider_orchestration.run.wait.threads.CONNECTION_HOLDS", 0.2)

    async def scene(poller: Poller) -> None:
        poller._client.begin_use()
        assert await poller.call(lambda client: client.settings.client_id) == flows.emulator.client_id
        connect_airflow(flows.emulator, login="demo-reader", password="demo-reader")
        assert await poller.call(lambda client: client.settings.client_id) == flows.emulator.client_id
        await asyncio.sleep(0.25)
        assert await poller.call(lambda client: client.settings.client_id) == "demo-reader"
        poller._client.end_use()

    run(scene)


def test_a_connection_that_cannot_be_read_again_is_used_as_it_was(flows, monkeypatch):
    from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook

    monkeypatch.setattr("airflow_provider_orchestration.run.wait.threads.CONNECTION_HOLDS", 0.0)

    async def away(_conn_id: str) -> Any:
        raise ConnectionError("Airflow's API server is away")

    async def scene(poller: Poller) -> None:
        poller._client.begin_use()
        first = await poller.call(lambda client: client)
        monkeypatch.setattr(OrchestrationHook, "get_async_settings", away)
        assert await poller.call(lambda client: client) is first
        poller._client.end_use()

    run(scene)


def test_the_setting_of_requests_at_once_holds(flows, monkeypatch, no_stages):
    monkeypatch.setenv("AIRFLOW__FORMANCE__REQUESTS_AT_ONCE", "1")
    crowds = [Many(flows, 1) for _ in range(6)]

    async def scene(poller: Poller) -> None:
        tasks = [task for crowd in crowds for task in begin(poller, crowd.ids, crowd.workflow_id, 0.1)]
        await until(lambda: flows.asked("get_instance") >= 18)
        assert flows.emulator.counters()["connections"] <= 1 + 1  # the test's own client is the other
        for task in tasks:
            task.cancel()

    run(scene)
