"""What the emulator does as one generation of server and as the other, beside what was recorded of both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from tests.support.servers import both_servers
from tests.unit.emulator.conftest import Flows

WAIT = {"wait_event": {"event": "go"}}
SERVERS = ("2.6", "next")


@pytest.fixture(scope="module")
def emulators() -> Iterator[dict[str, EmulatorProcess]]:
    with both_servers("--time-scale", "0.01") as emulators:
        yield emulators


@pytest.fixture(params=SERVERS)
def flows(emulators, request) -> Flows:
    emulators[request.param].reset()
    return Flows(emulators[request.param])


def pages(flows: Flows, path: str) -> list[list[Any]]:
    found, query = [], path
    while True:
        cursor = flows.ask("GET", query).json()["cursor"]
        found.append(cursor["data"])
        if not cursor["hasMore"]:
            assert "next" not in cursor
            return found
        query = f"{path.split('?', maxsplit=1)[0]}?cursor={cursor['next']}"


def test_pages_hold_to_what_was_asked_for(flows):
    mine, other = flows.workflow(WAIT), flows.workflow(WAIT)
    ids = [flows.run(mine) for _ in range(5)]
    for _ in range(3):
        flows.run(other)
    found = pages(flows, f"/v2/instances?workflowID={mine}&running=true&pageSize=2")
    assert [len(page) for page in found] == [2, 2, 1]
    assert [one["id"] for page in found for one in page] == ids
    assert sum(len(page) for page in pages(flows, "/v2/instances?pageSize=3")) == 8


@pytest.mark.parametrize("what", ["workflows", "instances", "triggers"])
@pytest.mark.parametrize(
    ("query", "named"),
    [("pageSize=abc", "pageSize"), ("pageSize=-1", "pageSize"), ("cursor=abc", "cursor"), ("cursor=e30", "cursor")],
)
def test_a_query_that_cannot_be(flows, what, query, named):
    answer = flows.ask("GET", f"/v2/{what}?{query}")
    assert answer.status_code == 400
    assert answer.json() == {"errorCode": "VALIDATION", "errorMessage": f"invalid '{named}' query param"}


def test_pages_are_behind_authentication(flows):
    flows.session.headers["Authorization"] = "Bearer nonsense"
    assert flows.ask("GET", "/v2/instances").status_code == 401


def see_and_abort(flows: Flows, instance: str) -> None:
    wait_for(lambda: flows.instance(instance).get("status"))
    flows.ask("PUT", f"/instances/{instance}/abort")


@pytest.mark.parametrize("server", SERVERS)
def test_what_an_abort_does_can_be_chosen(server):
    """As each server has it by itself: tests/contract/test_two_servers.py."""
    for abort, ends in (("ignore", False), ("honour", True)):
        with EmulatorProcess("--time-scale", "0.01", "--abort", abort, server=server) as emulator:
            flows = Flows(emulator)
            instance = flows.run(flows.workflow(WAIT))
            see_and_abort(flows, instance)
            assert flows.instance(instance)["terminated"] is ends


def test_a_run_that_is_waited_for_answers_at_its_end(emulators):
    for server, ended in zip(SERVERS, (False, True), strict=True):
        flows = Flows(emulators[server])
        workflow = flows.workflow({"delay": {"duration": "50s"}})
        answer = flows.ask("POST", f"/workflows/{workflow}/instances?wait=true", {})
        assert answer.json()["data"]["terminated"] is ended
