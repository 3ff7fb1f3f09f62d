"""A stack without a server, whose time passes only when a test says so; and a client for one with a server."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import requests

from airflow_provider_orchestration.emulator.go.golang import NANOSECONDS
from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from airflow_provider_orchestration.emulator.world.engine import Engine, Pace
from airflow_provider_orchestration.emulator.world.models import Instance, Start, Workflow
from airflow_provider_orchestration.emulator.world.signals import Signals
from airflow_provider_orchestration.emulator.world.state import State
from airflow_provider_orchestration.emulator.world.timers import Timers
from airflow_provider_orchestration.emulator.world.triggers import Bus

START = 1_800_000_000


class Lab:
    """State, engine and bus with a clock that a test sets."""

    def __init__(self, pace: Pace | None = None, abort: str = "ignore") -> None:
        self.now = START * NANOSECONDS + 123_456_789
        self.state = State()
        self.timers = Timers(lambda: self.now)
        self.engine = Engine(self.state, self.timers, pace or Pace())
        self.signals = Signals(self.engine, abort)
        self.bus = Bus(self.engine)
        self.numbers = itertools.count(1)

    def workflow(self, *stages: dict[str, Any]) -> Workflow:
        workflow = Workflow(f"workflow-{next(self.numbers)}", "", list(stages), self.now, self.now)
        self.state.workflows[workflow.id] = workflow
        return workflow

    def run(self, *stages: dict[str, Any], **variables: str) -> Instance:
        """Begin a run of a new workflow."""
        start = Start(f"instance-{next(self.numbers)}", self.workflow(*stages).id, variables)
        self.engine.submit(start, lambda _: None)
        return self.state.instances[start.id]

    def pass_time(self, seconds: float) -> None:
        """Let time pass, doing at each moment what is due then."""
        end = self.now + int(seconds * NANOSECONDS)
        while (due := self.timers.next()) is not None and due <= end:
            self.now = max(self.now, due)
            self.timers.run_due()
        self.now = end

    def history(self, instance: Instance) -> list[dict[str, Any]]:
        return [stage.run.show() for stage in instance.stages if stage.run is not None]

    def activities(self, instance: Instance, number: int = 0) -> list[dict[str, Any]]:
        run = instance.stages[number].run
        return [] if run is None else [activity.show() for activity in run.activities]


@pytest.fixture
def lab() -> Lab:
    return Lab()


class Flows:
    """A client of an emulator, without any help."""

    def __init__(self, emulator: EmulatorProcess, verify: bool | str = True) -> None:
        self.emulator = emulator
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = verify
        if emulator.client_id:
            self.log_in()

    def log_in(self) -> None:
        form = {"grant_type": "client_credentials", "scope": "openid orchestration:read orchestration:write"}
        auth = (self.emulator.client_id, self.emulator.client_secret)
        answer = self.session.post(self.emulator.token_url, data=form, auth=auth, timeout=10)
        self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def ask(self, method: str, path: str, body: Any = None, timeout: float = 10) -> requests.Response:
        return self.session.request(method, self.emulator.flows_url + path, json=body, timeout=timeout)

    def data(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.ask(method, path, body)
        assert answer.ok, answer.text
        return answer.json()["data"]

    def workflow(self, *stages: dict[str, Any]) -> str:
        found: str = self.data("POST", "/workflows", {"name": "", "stages": list(stages)})["id"]
        return found

    def run(self, workflow: str, **variables: str) -> str:
        found: str = self.data("POST", f"/workflows/{workflow}/instances", variables)["id"]
        return found

    def instance(self, instance: str) -> Any:
        return self.data("GET", f"/instances/{instance}")


@pytest.fixture
def flows(emulator: EmulatorProcess) -> Flows:
    return Flows(emulator)


def send(amount: Any = "100", source: str = "world", destination: str = "alice", **more: Any) -> dict[str, Any]:
    """A stage that moves money."""
    return {
        "send": {
            "source": {"account": {"id": source}},
            "destination": {"account": {"id": destination}},
            "amount": {"amount": amount, "asset": "EUR/2"},
            **more,
        }
    }
