"""A stack that refuses the credentials: one try for all, then pauses that grow; nobody else is harmed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_provider_orchestration.api.settings import ClientSettings
from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.run import settings
from airflow_provider_orchestration.run.wait import pauses
from airflow_provider_orchestration.run.wait.poller import Poller
from airflow_provider_orchestration.run.wait.waiters import Interval
from tests.support.waiting import Crowd, run, watch


@pytest.fixture
def crowds(flows) -> list[Crowd]:
    """Ten workflows, each with two instances that wait."""
    return [Crowd(flows, 2) for _ in range(10)]


def begin_all(poller: Poller, crowds: list[Crowd], seconds: float) -> list[asyncio.Task[Any]]:
    return [
        asyncio.create_task(poller.wait(watch(one), crowd.workflow_id, Interval(seconds)))
        for crowd in crowds
        for one in crowd.ids
    ]


async def in_vain(poller: Poller, crowds: list[Crowd], seconds: float) -> None:
    tasks = begin_all(poller, crowds, 0.1)
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_401_for_ever_costs_few_tokens_and_few_requests(flows, crowds, said):
    flows.emulator.fault("*", "status", times="always", status=401)
    flows.emulator.reset_counters()

    run(lambda poller: in_vain(poller, crowds, 3.0))
    counters = flows.emulator.counters()
    assert counters["tokens"] <= 2
    assert sum(counters["requests"].values()) <= 3 * 2 * len(crowds)
    for crowd in crowds:
        for one in crowd.ids:
            assert len(said.having(f"instance {one} cannot be read", "warning")) == 1


def test_looks_that_waited_for_their_turn_are_not_made_once_it_refuses(flows, said, monkeypatch):
    """The turn of the last of these comes ten seconds after the first refusal."""
    monkeypatch.setenv("AIRFLOW__FORMANCE__SINGLE_READS_PER_SECOND", "5")
    crowds = [Crowd(flows, 1) for _ in range(60)]
    flows.emulator.fault("*", "status", times="always", status=401)
    flows.emulator.reset_counters()

    # Told to all, also to those for whom nothing was asked, and long before their turn.
    run(lambda poller: in_vain(poller, crowds, 4.0))
    assert len(said.having("cannot be read", "warning")) == len(crowds)
    counters = flows.emulator.counters()
    # The first, its second try with a new token, and those that were on their way.
    assert sum(counters["requests"].values()) <= 2 * (settings.requests_at_once() + 1)
    assert counters["tokens"] <= 2


def test_lists_that_waited_for_their_turn_are_not_made_once_it_refuses(flows, said):
    crowds = [Crowd(flows, 3) for _ in range(20)]
    flows.emulator.fault("*", "status", times="always", status=401)
    flows.emulator.reset_counters()

    run(lambda poller: in_vain(poller, crowds, 3.0))
    assert len(said.having("cannot be read", "warning")) == 3 * len(crowds)
    assert sum(flows.emulator.counters()["requests"].values()) <= 2


def test_nobody_asks_while_the_connection_is_read_again_after_a_refusal(flows, monkeypatch):
    crowds = [Crowd(flows, 3) for _ in range(10)]
    flows.emulator.fault("*", "status", times="always", status=401)
    flows.emulator.reset_counters()
    read = OrchestrationHook.get_async_settings

    async def slowly(conn_id: str) -> ClientSettings:
        await asyncio.sleep(0.3)
        return await read(conn_id)

    monkeypatch.setattr(OrchestrationHook, "get_async_settings", staticmethod(slowly))
    run(lambda poller: in_vain(poller, crowds, 3.0))
    assert sum(flows.emulator.counters()["requests"].values()) <= 2


def test_what_is_said_of_one_instance_is_not_said_of_those_that_were_not_asked_for(flows):
    """A 404 that asks for a pause: nobody else is "not found" by it."""
    crowd = Crowd(flows, 30)
    answer = {"status": 404, "headers": {"Retry-After": "1"}, "body": {"errorCode": "NOT_FOUND", "errorMessage": "no"}}
    flows.emulator.fault("get_instance", "status", times=1, **answer)

    async def scene(poller: Poller) -> None:
        tasks = [
            asyncio.create_task(poller.wait(watch(one, not_found_after=1), None, Interval(0.1))) for one in crowd.ids
        ]
        await asyncio.sleep(3.0)
        assert [task.result().verdict for task in tasks if task.done()] == ["not_found"]
        await asyncio.to_thread(lambda: [flows.client.send_event(one, "go") for one in crowd.ids])
        async with asyncio.timeout(20):
            verdicts = [verdict.verdict for verdict in await asyncio.gather(*tasks)]
        assert sorted(verdicts) == ["ended"] * 29 + ["not_found"]

    run(scene)


def test_it_heals(flows, crowds, said, monkeypatch):
    monkeypatch.setattr(pauses, "_AFTER_REFUSAL", 0.2)
    flows.emulator.fault("*", "status", times="always", status=401)

    async def scene(poller: Poller) -> None:
        tasks = begin_all(poller, crowds, 0.1)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(flows.emulator.clear_faults)
        await asyncio.to_thread(lambda: [crowd.go() for crowd in crowds])
        async with asyncio.timeout(15):
            verdicts = await asyncio.gather(*tasks)
        assert {verdict.verdict for verdict in verdicts} == {"ended"}
        assert poller._pauses._refusals == 0

    run(scene)
    for crowd in crowds:
        for one in crowd.ids:
            assert len(said.having(f"instance {one} can be read again", "info")) == 1
