"""The emulator's answers held, case by case, against those of the real server.

The whole record is replayed in order, since each exchange builds upon those before it; what is missing in the record
(a ledger that was made, a worker that was down) is done between them. Each case is a test of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from tests.contract.exchanges import Exchange, Ids, MismatchError, compare, read_record

RECORD = read_record()
PATIENCE = 10.0  # seconds for a state that the record was taken in to come
SCOPES = "openid orchestration:read orchestration:write"
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


class Replay:
    """Repeats the record's requests and keeps what differs."""

    def __init__(self, emulator: EmulatorProcess) -> None:
        self.emulator = emulator
        self.ids = Ids()
        self.session = requests.Session()
        self.session.trust_env = False
        self.differences: dict[str, str] = {}
        self.writer = self._token(emulator.client_id, emulator.client_secret, SCOPES)
        self.before: dict[str, Callable[[], None]] = {
            "100 run send, ledger missing": lambda: self._control("DELETE", "ledgers/default"),
            "104 run send": self._make_ledger,
            "175 occ": self._pay_carol,
            "187 list while worker down": self._run_without_worker,
            "188 list after worker is back": emulator.clear_faults,
            "201 instance after its history has been purged": lambda: self._engine_when("purge_history", "terminated"),
            "207 instance after terminate of its main in the engine": lambda: self._engine_when("terminate", "listens"),
            "213 instance after cancel of its main in the engine": lambda: self._engine_when("cancel", "listens"),
        }

    def run(self) -> None:
        """Replay everything."""
        for exchange in RECORD:
            self.before.get(str(exchange), lambda: None)()
            if str(exchange) in LEFT_OUT:
                continue
            try:
                self._repeat(exchange)
            except MismatchError as mismatch:
                self.differences[str(exchange)] = str(mismatch)

    def _repeat(self, exchange: Exchange) -> None:
        """Make the request, again and again where that changes nothing, until the recorded state is there."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._compare(exchange, self._ask(exchange))
                return
            except MismatchError:
                harmless = exchange.method == "GET" or exchange.path.endswith("/events")
                if not harmless or time.monotonic() > deadline:
                    raise
            threading.Event().wait(0.01)

    def _ask(self, exchange: Exchange) -> requests.Response:
        headers = {"Authorization": self._authorization(exchange.case)}
        content_type = CONTENT_TYPES.get(exchange.case, "application/json")
        if content_type is not None:
            headers["Content-Type"] = content_type
        is_json = exchange.request is not None and not isinstance(exchange.request, str)
        return self.session.request(
            exchange.method,
            self.emulator.flows_url + self.ids.translate(exchange.path),
            params={key: self.ids.translate(value) for key, value in (exchange.query or {}).items()},
            headers=headers,
            json=self._translate(exchange.request) if is_json else None,
            data=None if is_json else exchange.request,
            timeout=PATIENCE,
        )

    def _translate(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._translate(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._translate(item) for item in value]
        return self.ids.translate(value) if isinstance(value, str) else value

    def _compare(self, exchange: Exchange, response: requests.Response) -> None:
        if response.status_code != exchange.status:
            raise MismatchError(f"status {response.status_code} instead of {exchange.status}: {response.text[:300]}")
        if response.headers.get("Content-Type") != exchange.content_type:
            raise MismatchError(f"type {response.headers.get('Content-Type')} instead of {exchange.content_type}")
        is_json = exchange.content_type == "application/json"
        body = response.json() if is_json else response.text or None
        compare(exchange.response, body, self.ids, ACCIDENTS.get(str(exchange), frozenset()))

    def _authorization(self, case: str) -> str:
        if case.startswith("ro "):
            return self._token("demo-reader", "demo-reader", SCOPES)
        if case == "no scope token":
            return self._token(self.emulator.client_id, self.emulator.client_secret, "")
        return {"bad token": "Bearer x.y.z", "basic": "Basic ZGVtbzpkZW1v"}.get(case, self.writer)

    def _token(self, client_id: str, secret: str, scope: str) -> str:
        form = {"grant_type": "client_credentials", "scope": scope}
        answer = self.session.post(self.emulator.token_url, data=form, auth=(client_id, secret), timeout=PATIENCE)
        return f"Bearer {answer.json()['access_token']}"

    def _control(self, method: str, path: str) -> None:
        self.emulator.control(method, path)

    def _get(self, path: str) -> Any:
        answer = self.session.get(
            self.emulator.flows_url + path, headers={"Authorization": self.writer}, timeout=PATIENCE
        )
        return answer.json()["data"]

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
def replay() -> Iterator[Replay]:
    # Slow enough for passing states to be seen, e.g. a stage that has begun and does not listen yet.
    with EmulatorProcess("--time-scale", "0.3", "--stage-delay", "2") as emulator:
        replay = Replay(emulator)
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
