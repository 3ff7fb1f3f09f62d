"""
Random sequences of all operations: in whatever order they come, each is answered as the record of its server has it.

A model knows what there is (workflows, deleted ones, instances at work, asked to cancel or ended, triggers), and so
which recorded case an operation is. What happens to an instance must be what happened there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from tests.contract.exchanges import Exchange, read_record
from tests.contract.replay import SCOPES
from tests.support.servers import both_servers

UNKNOWN = st.sampled_from(["nope", "00000000-0000-0000-0000-000000000000"])
WAITS = {"stages": [{"wait_event": {"event": "go"}}, {"noop": {}}]}
DELAYS = {"stages": [{"delay": {"duration": "1000h"}}]}
INVALID = (
    "unknown stage",
    "two kinds in a stage",
    "bad duration",
    "empty stage",
    "name a number",
    "stages a string",
    "amount not a number",
    "malformed workflow",
)
#: On 2.6 this case was taken of a run that had not ended; of one that has, the older record tells.
ENDED = "event to an ended instance"


def cases(server: str) -> dict[tuple[str, str], Exchange]:
    """The recorded exchanges of a server, by method and case; of several the first."""
    known: dict[tuple[str, str], Exchange] = {}
    for exchange in read_record({"2.6": "2.6.0"}.get(server, server)):
        known.setdefault((exchange.method, exchange.case), exchange)
    if server == "2.6":
        known["POST", ENDED] = next(
            one for one in read_record() if "workflow execution already completed" in json.dumps(one.response)
        )
    return known


@dataclass
class Run:
    """An instance, as far as the model knows it."""

    kind: dict[str, Any]
    asked_to_cancel: bool = False
    ended: bool = False
    error: str | None = None


@dataclass
class Made:
    """A workflow, and what runs on it."""

    definition: dict[str, Any]
    deleted: bool = False
    runs: list[str] = field(default_factory=list)


class Sequence(RuleBasedStateMachine):
    """One stack, empty at the beginning."""

    server = ""
    emulator: EmulatorProcess

    def __init__(self) -> None:
        super().__init__()
        self.cases = cases(self.server)
        self.workflows: dict[str, Made] = {}
        self.runs: dict[str, Run] = {}
        self.triggers: list[str] = []
        self.http = requests.Session()
        self.http.trust_env = False

    @initialize()
    def begin(self) -> None:
        self.emulator.reset()
        form = {"grant_type": "client_credentials", "scope": SCOPES}
        known = {"client_id": self.emulator.client_id, "client_secret": self.emulator.client_secret}
        answer = self.http.post(self.emulator.token_url, data=form | known, timeout=10)
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def teardown(self) -> None:
        self.http.close()

    # -- asking --------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None) -> requests.Response:
        data = body if isinstance(body, str) else None if body is None else json.dumps(body)
        return self.http.request(method, f"{self.emulator.flows_url}{path}", data=data, params=query, timeout=10)

    def expect(self, case: str, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Ask, hold the answer against the recorded case, and return what it holds."""
        answer = self.ask(method, path, body, query)
        recorded = self.cases[method, case]
        assert answer.status_code == recorded.status, (case, answer.status_code, answer.text)
        if recorded.status == 204:
            assert not answer.content
            return None
        ours = answer.json()
        if recorded.status >= 400:
            # But for the id that was asked for, they are the same.
            asked, there = path.split("/")[2:3], recorded.path.split("/")[2:3]
            message = recorded.response["errorMessage"]
            assert ours["errorCode"] == recorded.response["errorCode"]
            assert ours["errorMessage"] == (message.replace(there[0], asked[0]) if there else message), case
            return ours
        assert set(ours) == set(recorded.response)
        return ours.get("data", ours.get("cursor"))

    def some(self, data: st.DataObject, among: list[str]) -> str | None:
        return data.draw(st.sampled_from(sorted(among))) if among else None

    # -- workflows -----------------------------------------------------------------------------------------------

    @rule(definition=st.sampled_from([WAITS, DELAYS]))
    def create_workflow(self, definition: dict[str, Any]) -> None:
        made = self.expect("a run to its end", "POST", "/workflows", {"name": "random", **definition})
        self.workflows[made["id"]] = Made(definition)

    @precondition(lambda self: len(self.workflows) < 15)
    @rule(number=st.sampled_from([16, 101]))
    def create_many(self, number: int) -> None:
        """More than a page."""
        for _ in range(number):
            self.workflows[self._create()] = Made(WAITS)

    def _create(self) -> str:
        return str(self.ask("POST", "/workflows", {"name": "random", **WAITS}).json()["data"]["id"])

    @precondition(lambda self: len(self.runs) < 15)
    @rule(number=st.sampled_from([16, 101]))
    def run_many(self, number: int) -> None:
        """More than a page of instances at work, of one workflow."""
        workflow_id = self._create()
        made = self.workflows[workflow_id] = Made(WAITS)
        for _ in range(number):
            made.runs.append(self.ask("POST", f"/workflows/{workflow_id}/instances", {}).json()["data"]["id"])
            self.runs[made.runs[-1]] = Run(WAITS)
        wait_for(lambda: self.ask("GET", f"/instances/{made.runs[-1]}/history").status_code == 200)

    @rule(case=st.sampled_from(INVALID))
    def create_none(self, case: str) -> None:
        self.expect(case, "POST", "/workflows", self.cases["POST", case].request)

    @rule(data=st.data())
    def get_workflow(self, data: st.DataObject) -> None:
        if workflow_id := self.some(data, list(self.workflows)):
            if self.workflows[workflow_id].deleted:
                self.expect("get a deleted workflow", "GET", f"/workflows/{workflow_id}")
            else:
                assert self.ask("GET", f"/workflows/{workflow_id}").json()["data"]["id"] == workflow_id

    @rule(data=st.data())
    def delete_workflow(self, data: st.DataObject) -> None:
        if workflow_id := self.some(data, list(self.workflows)):
            again = self.workflows[workflow_id].deleted
            self.expect("delete twice" if again else "delete", "DELETE", f"/workflows/{workflow_id}")
            self.workflows[workflow_id].deleted = True

    @rule(nobody=UNKNOWN)
    def unknown_ids(self, nobody: str) -> None:
        number = 0 if nobody == "nope" else 1
        for case, method, path, body in (
            ("unknown workflow", "GET", f"/workflows/{nobody}", None),
            ("run unknown workflow", "POST", f"/workflows/{nobody}/instances", {}),
            ("unknown instance", "GET", f"/instances/{nobody}", None),
            ("history of unknown instance", "GET", f"/instances/{nobody}/history", None),
            ("stage history of unknown instance", "GET", f"/instances/{nobody}/stages/0/history", None),
            ("event to unknown instance", "POST", f"/instances/{nobody}/events", {"name": "go"}),
            ("abort unknown instance", "PUT", f"/instances/{nobody}/abort", None),
            ("unknown trigger", "GET", f"/triggers/{nobody}", None),
            ("delete unknown trigger", "DELETE", f"/triggers/{nobody}", None),
            ("occurrences of unknown trigger", "GET", f"/triggers/{nobody}/occurrences", None),
        ):
            self.expect(case, method, path, body)
        answer = self.ask("DELETE", f"/workflows/{nobody}")
        assert answer.status_code == (400, 404)[number]

    # -- runs ----------------------------------------------------------------------------------------------------

    @rule(data=st.data())
    def run_workflow(self, data: st.DataObject) -> None:
        if workflow_id := self.some(data, list(self.workflows)):
            made, path = self.workflows[workflow_id], f"/workflows/{workflow_id}/instances"
            if made.deleted:
                started = self.expect("run a deleted workflow", "POST", path, {})
                if self.cases["POST", "run a deleted workflow"].status != 201:
                    return
            else:
                started = self.expect("a run to its end", "POST", path, {})
            self.runs[started["id"]] = Run(made.definition)
            made.runs.append(started["id"])
            wait_for(lambda: self.ask("GET", f"/instances/{started['id']}/history").status_code == 200)

    @rule(data=st.data(), case=st.sampled_from(["malformed variables", "variable a number"]))
    def run_with_none(self, data: st.DataObject, case: str) -> None:
        live = [one for one, made in self.workflows.items() if not made.deleted]
        if workflow_id := self.some(data, live):
            self.expect(case, "POST", f"/workflows/{workflow_id}/instances", self.cases["POST", case].request)

    @rule(data=st.data(), event=st.sampled_from(["go", "other"]))
    def send_event(self, data: st.DataObject, event: str) -> None:
        if instance_id := self.some(data, list(self.runs)):
            run, path = self.runs[instance_id], f"/instances/{instance_id}/events"
            if run.ended:
                self.expect(ENDED, "POST", path, {"name": event})
                return
            case = "event" if event == "go" else "event that nobody waits for"
            self.expect(case, "POST", path, {"name": event})
            if event == "go" and run.kind is WAITS:
                run.ended = True
                run.error = "canceled" if run.asked_to_cancel and self.server == "next" else None
                self._see(instance_id, run)

    @rule(data=st.data())
    def cancel_event(self, data: st.DataObject) -> None:
        if instance_id := self.some(data, list(self.runs)):
            run = self.runs[instance_id]
            case = "abort an ended instance" if run.ended else "abort a delay"
            self.expect(case, "PUT", f"/instances/{instance_id}/abort")
            run.asked_to_cancel = True
            if self.server == "next" and run.kind is DELAYS and not run.ended:
                run.ended, run.error = True, "canceled"
                self._see(instance_id, run)

    def _see(self, instance_id: str, run: Run) -> None:
        wait_for(lambda: self.ask("GET", f"/instances/{instance_id}").json()["data"]["terminated"])
        shown = self.expect("waiting", "GET", f"/instances/{instance_id}")
        assert shown.get("error") == run.error

    # -- triggers ------------------------------------------------------------------------------------------------

    @rule(data=st.data())
    def create_trigger(self, data: st.DataObject) -> None:
        if workflow_id := self.some(data, list(self.workflows)):
            body = {"event": "E", "workflowID": workflow_id, "name": "alpha", "vars": {}}
            if self.workflows[workflow_id].deleted:
                self.expect("trigger for a deleted workflow", "POST", "/triggers", body)
            else:
                self.triggers.append(self.expect("create trigger", "POST", "/triggers", body)["id"])

    @rule(data=st.data())
    def delete_trigger(self, data: st.DataObject) -> None:
        if trigger_id := self.some(data, self.triggers):
            assert self.ask("DELETE", f"/triggers/{trigger_id}").status_code == 204
            self.triggers.remove(trigger_id)
            self.expect("unknown trigger", "GET", f"/triggers/{trigger_id}")

    @rule()
    def trigger_operations_that_fail(self) -> None:
        self.expect("malformed trigger", "POST", "/triggers", self.cases["POST", "malformed trigger"].request)
        self.expect("triggers by name", "GET", "/triggers", name="alpha")

    # -- lists ---------------------------------------------------------------------------------------------------

    @rule(size=st.sampled_from(["abc", "0", "5", "100", "1000", None]))
    def list_all(self, size: str | None) -> None:
        query = {} if size is None else {"pageSize": size}
        most = None if self.server == "2.6" else min(int(size), 100) if size and size.isdigit() else 15
        live = {one for one, made in self.workflows.items() if not made.deleted}
        for path, there in (
            ("/workflows", live),
            ("/instances", {one for workflow_id in live for one in self.workflows[workflow_id].runs}),
        ):
            answer = self.ask("GET", path, None, query)
            if size == "abc":
                assert answer.status_code == self.cases["GET", "page size not a number"].status
                if answer.status_code != 200:
                    continue
            shown = [one["id"] for one in answer.json()["data"] or []]
            assert len(shown) == len(set(shown)) == (len(there) if most is None else min(most, len(there)))
            assert set(shown) <= there

    @rule(size=st.integers(1, 120))
    def list_in_pages(self, size: int) -> None:
        live = {one for one, made in self.workflows.items() if not made.deleted}
        ran = {one for workflow_id in live for one in self.workflows[workflow_id].runs}
        wanted: list[tuple[str, dict[str, str], set[str]]] = [
            ("/v2/workflows", {}, live),
            ("/v2/triggers", {}, set(self.triggers)),
            ("/v2/instances", {}, ran),
            ("/v2/instances", {"running": "true"}, {one for one in ran if not self.runs[one].ended}),
        ]
        if live:
            one = min(live)
            wanted.append(("/v2/instances", {"workflowID": one}, set(self.workflows[one].runs)))
        for path, filters, there in wanted:
            query, seen = {"pageSize": str(size), **filters}, []
            while True:
                page = self.ask("GET", path, None, query).json()["cursor"]
                assert page["pageSize"] == min(size, 100)
                seen += [one["id"] for one in page["data"] or []]
                if not page["hasMore"]:
                    break
                query = {"cursor": page["next"]}
            assert sorted(seen) == sorted(there)

    @invariant()
    def what_runs_is_known(self) -> None:
        shown_by_lists = [one for one, made in self.workflows.items() if made.runs and not made.deleted]
        for workflow_id in shown_by_lists[-3:]:
            made = self.workflows[workflow_id]
            running = {one for one in made.runs if not self.runs[one].ended}
            answer = self.ask("GET", "/instances", None, {"workflowID": workflow_id, "running": "true"})
            shown = [one["id"] for one in answer.json()["data"] or []]
            assert set(shown) <= running
            assert len(shown) == (len(running) if self.server == "2.6" else min(15, len(running)))


@pytest.fixture(scope="module")
def stacks() -> Iterator[dict[str, EmulatorProcess]]:
    with both_servers("--time-scale", "0.001") as stacks:
        yield stacks


def play(emulator: EmulatorProcess, server: str, **more: Any) -> None:
    machine = type("Machine", (Sequence,), {"server": server, "emulator": emulator})
    played = settings(max_examples=15, stateful_step_count=30, deadline=None, **more)
    run_state_machine_as_test(machine, settings=played)


@pytest.mark.parametrize("server", ["2.6", "next"])
def test_each_answer_is_the_recorded_one(stacks, server):
    play(stacks[server], server)


@pytest.mark.parametrize(("server", "record"), [("2.6", "next"), ("next", "2.6")])
def test_the_other_server_is_found_out(stacks, server, record):
    """What the sequences hold is held: the record of the other server does not fit."""
    with pytest.raises((AssertionError, ExceptionGroup)):
        # That there is one is enough, it need not be the smallest.
        play(stacks[server], record, phases=[Phase.generate])
