"""The emulator's answers held, case by case, against those of the real server.

The whole record is replayed in order, since each exchange builds upon those before it; what is missing in the record
(a ledger that was made, a worker that was down) is done between them. Each case is a test of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from tests.contract.exchanges import read_record
from tests.contract.replay import SCOPES, Replay

RECORD = read_record()
LEFT_OUT: dict[str, str] = {}
"""Cases that are not compared, by number and name, with the reason."""

CONTENT_TYPES = {"yaml": "text/vnd.yaml", "yaml appl": "application/yaml", "no ctype": None}

_AT_ONCE = frozenset({"terminated", "terminatedAt", "output", "txid"})
ACCIDENTS: dict[str, frozenset[str]] = {
    # Two runs began at the same moment; the record was taken while the first of them was slower than the second.
    "188 list after worker is back": _AT_ONCE,
    "189 i": _AT_ONCE,
    "190 h": _AT_ONCE,
    "191 sh": _AT_ONCE,
    "194 sh": frozenset({"id", "txid"}),
}
"""Keys that are not compared, because their values there were an accident."""


class FirstRecord(Replay):
    """The record of today's server, and what was done between its exchanges."""

    content_types = CONTENT_TYPES

    def __init__(self, emulator: EmulatorProcess) -> None:
        super().__init__(emulator, RECORD, left_out=LEFT_OUT, accidents=ACCIDENTS)
        self.before = {
            "100 run send, ledger missing": lambda: self._control("DELETE", "ledgers/default"),
            "104 run send": self._make_ledger,
            "175 occ": self._pay_carol,
            "187 list while worker down": self._run_without_worker,
            "188 list after worker is back": emulator.clear_faults,
            "201 instance after its history has been purged": lambda: self._engine_when("purge_history", "terminated"),
            "207 instance after terminate of its main in the engine": lambda: self._engine_when("terminate", "listens"),
            "213 instance after cancel of its main in the engine": lambda: self._engine_when("cancel", "listens"),
        }

    def _authorization(self, case: str) -> str:
        if case.startswith("ro "):
            return self._token("demo-reader", "demo-reader", SCOPES)
        if case == "no scope token":
            return self._token(self.emulator.client_id, self.emulator.client_secret, "")
        return {"bad token": "Bearer x.y.z", "basic": "Basic ZGVtbzpkZW1v"}.get(case, self.writer)

    def _control(self, method: str, path: str) -> None:
        self.emulator.control(method, path)

    def _started(self, case: str) -> str:
        """Our id of the instance that a case started."""
        recorded: str = next(exchange for exchange in RECORD if str(exchange) == case).response["data"]["id"]
        return self.ids.ours[recorded]

    def _make_ledger(self) -> None:
        """Only when the next try of the run that needs it is far away, so that it is seen to go on."""
        path = f"/instances/{self._started('100 run send, ledger missing')}/stages/0/history"
        wait_for(lambda: self._get(path)[0]["attempt"] >= 6)
        self.emulator.make_ledger("default")

    def _pay_carol(self) -> None:
        waiting = self._started("100 run send, ledger missing")
        wait_for(lambda: self._get(f"/instances/{waiting}")["terminated"])
        self._run("104 run send", {"dest": "carol", "amount": "42"})

    def _run(self, like: str, variables: dict[str, str]) -> None:
        path = next(exchange for exchange in RECORD if str(exchange) == like).path
        url = self.emulator.flows_url + self.ids.translate(path)
        self.session.post(url, json=variables, headers={"Authorization": self.writer}, timeout=1)

    def _run_without_worker(self) -> None:
        self.emulator.fault("*", "worker_down")
        workflow = self.ids.ours[RECORD[186].response["data"]["id"]]
        for number in range(2):
            url = f"{self.emulator.flows_url}/workflows/{workflow}/instances"
            variables = {"airflow_run_key": f"dag/run/{number}"}
            with pytest.raises(requests.ReadTimeout):
                self.session.post(url, json=variables, headers={"Authorization": self.writer}, timeout=0.5)

    def _engine_when(self, what: str, state: str) -> None:
        """Reach into the engine when the youngest instance is so far."""
        instance = self.emulator.runs()[-1]["instance"]
        if state == "terminated":
            wait_for(lambda: self._get(f"/instances/{instance}")["terminated"])
        else:
            wait_for(lambda: self._get(f"/instances/{instance}/history"))
        self.emulator.engine(instance, what)


@pytest.fixture(scope="module")
def replay() -> Iterator[FirstRecord]:
    # Slow enough for passing states to be seen, e.g. a stage that has begun and does not listen yet.
    with EmulatorProcess("--time-scale", "0.3", "--stage-delay", "2") as emulator:
        replay = FirstRecord(emulator)
        replay.run()
        yield replay


@pytest.mark.contract
@pytest.mark.timeout(400)
@pytest.mark.parametrize("case", [str(exchange) for exchange in RECORD if str(exchange) not in LEFT_OUT])
def test_answers_as_the_real_server(replay, case):
    assert replay.differences.get(case) is None


@pytest.mark.contract
def test_the_whole_record_is_there():
    assert len(RECORD) == 218


@pytest.mark.contract
@pytest.mark.timeout(400)
def test_what_is_left_out_and_what_is_done_between_names_cases_of_the_record(replay):
    names = {str(exchange) for exchange in RECORD}
    assert set(LEFT_OUT) | set(ACCIDENTS) | set(replay.before) <= names
    assert all(reason for reason in LEFT_OUT.values())
