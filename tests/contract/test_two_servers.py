"""The emulator's answers held, case by case, against those of both generations of server, which were asked the same."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from tests.contract.exchanges import Exchange, read_record
from tests.contract.replay import Replay

SERVERS = {"2.6": "2.6.0", "next": "next"}
RECORDS = {server: read_record(recorded) for server, recorded in SERVERS.items()}
AT_WORK, WORKFLOWS = 120, 20

_LOST = "the second of two events within a moment was lost, as may happen on this server: the run goes on"
_OTHERS = "the stack held other people's workflows and triggers, too"
LEFT_OUT: dict[str, dict[str, str]] = {
    "2.6": {
        **dict.fromkeys(("43 ended", "44 event to an ended instance", "46 ended after the abort"), _LOST),
        **dict.fromkeys(
            ("1 page size not a number", "2 page size 0", "3 page size not a number", "4 page size 0"), _OTHERS
        ),
        **{f"{number} 20 workflows and more: list": _OTHERS for number in (104, 108, 112, 116)},
        **dict.fromkeys(("121 v2: workflows", "122 v2: triggers"), _OTHERS),
        **{f"{number} 120 at work: list": "its order is of chance" for number in (102, 106, 110, 114)},
        "118 v2: 120 at work, page by page": "its order is of chance",
        "119 v2: 120 at work, page by page": "its order is of chance",
    },
    "next": {},
}
"""Cases that are not compared, by server, number and name, with the reason."""


ACCIDENTS = {"0 server info": frozenset({"version"})}
"""Keys that are not compared: the version says how a server was built, and not what it does."""


class RecordOfBoth(Replay):
    """The record of one of the servers, and what was done between its exchanges."""

    def __init__(self, emulator: EmulatorProcess, server: str) -> None:
        super().__init__(emulator, RECORDS[server], left_out=LEFT_OUT[server], accidents=ACCIDENTS)
        self.before |= {
            "52 abort a delay": lambda: self._see_it_listen("51 abort a delay"),
            "60 abort a wait_event": lambda: self._see_it_listen("59 abort a wait_event"),
            "102 120 at work: list": self._start_many,
            "104 20 workflows and more: list": self._make_many,
        }

    def _see_it_listen(self, started: str) -> None:
        """Wait until the first stage of an instance has begun."""
        recorded = next(one for one in self.record if str(one) == started)
        instance = self.ids.ours[recorded.response["data"]["id"]]
        wait_for(lambda: self._get(f"/instances/{instance}/history"))

    def _make_many(self) -> None:
        for _ in range(WORKFLOWS):
            body = {"name": "20 workflows and more", "stages": [{"noop": {}}]}
            url = f"{self.emulator.flows_url}/workflows"
            self.session.post(url, json=body, headers={"Authorization": self.writer}, timeout=10).raise_for_status()

    def _start_many(self) -> None:
        """Start what is then listed, one after another: the record has the runs in the order of their rows."""
        made = next(one for one in self.record if one.case == "120 at work")
        workflow = self.ids.ours[made.response["data"]["id"]]
        for _ in range(AT_WORK):
            url = f"{self.emulator.flows_url}/workflows/{workflow}/instances"
            self.session.post(url, headers={"Authorization": self.writer}, timeout=10).raise_for_status()
        youngest = self.emulator.runs()[-1]["instance"]
        wait_for(lambda: self._get(f"/instances/{youngest}/history"))


@pytest.fixture(scope="module")
def replays() -> dict[str, RecordOfBoth]:
    replays: dict[str, RecordOfBoth] = {}
    for server in SERVERS:
        with EmulatorProcess("--time-scale", "0.3", server=server) as emulator:
            replays[server] = RecordOfBoth(emulator, server)
            replays[server].run()
    return replays


CASES = [
    (server, str(exchange))
    for server, record in RECORDS.items()
    for exchange in record
    if str(exchange) not in LEFT_OUT[server]
]


@pytest.mark.contract
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("server", "case"), CASES)
def test_answers_as_the_real_server(replays, server, case):
    assert replays[server].differences.get(case) is None


@pytest.mark.contract
@pytest.mark.parametrize("server", SERVERS)
def test_the_whole_record_is_there(server):
    assert len(RECORDS[server]) == 115
    assert set(LEFT_OUT[server]) <= {str(exchange) for exchange in RECORDS[server]}


def _difference(one: Exchange, other: Exchange) -> bool:
    return (one.status, one.response and sorted(one.response)) != (
        other.status,
        other.response and sorted(other.response),
    )


@pytest.mark.contract
def test_the_two_records_are_of_the_same_steps_and_differ():
    pairs = list(zip(*RECORDS.values(), strict=True))
    assert all((one.case, one.method) == (other.case, other.method) for one, other in pairs)
    assert sum(_difference(one, other) for one, other in pairs) > 20
