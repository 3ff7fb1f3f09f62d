"""The submission goes wrong (part 2): every fault, in both modes, with and without a run key in the first stage."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from tests.faults.payout import assert_money, assert_paid_once, assert_unknown, in_the_background, mode, recoverable
from tests.support.servers import on_both

if TYPE_CHECKING:
    from tests.support.task_life import TaskLife

pytestmark = [pytest.mark.faults, on_both]


class Proof(enum.Enum):
    """What a fault proves to the one who submits, and what it did in truth."""

    #: nothing was submitted, and the answer proves it: it is tried again.
    REFUSED = "refused"
    #: It was submitted, and nothing in the answer proves it.
    ARRIVED = "arrived"
    #: It was not submitted, and nothing in the answer proves it.
    LOST = "lost"


@dataclass(frozen=True)
class Fault:
    kind: str
    proof: Proof
    times: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    operation: str = "run_workflow"

    def arrange(self, emulator: EmulatorProcess) -> None:
        emulator.fault(self.operation, self.kind, self.times, **self.settings)


def status(code: int, proof: Proof, **settings: Any) -> Fault:
    kind = "status_after" if proof is Proof.ARRIVED else "status"
    return Fault(kind, proof, 1, {"status": code, **settings})


def error(message: str) -> dict[str, str]:
    return {"errorCode": "INTERNAL", "errorMessage": message}


PAGE = "<html><h1>Bad Gateway</h1></html>"
HTML = {"headers": {"Content-Type": "text/html"}, "body": PAGE}
FAULTS = {
    "reset before": Fault("reset_before", Proof.LOST),
    "reset after": Fault("reset_after", Proof.ARRIVED),
    "502 before": status(502, Proof.LOST, **HTML),
    "502 after": status(502, Proof.ARRIVED, **HTML),
    "503 before": status(503, Proof.LOST, headers={"Retry-After": "1"}),
    "503 after": status(503, Proof.ARRIVED, headers={"Retry-After": "1"}),
    "504 before": status(504, Proof.LOST, **HTML),
    "504 after": status(504, Proof.ARRIVED, **HTML),
    "500 engine stuck before": status(500, Proof.LOST, body=error("context deadline exceeded")),
    "500 engine stuck after": status(500, Proof.ARRIVED, body=error("context deadline exceeded")),
    "500 rows unread after": status(500, Proof.ARRIVED, body=error("reading back: sql: no rows in result set")),
    "408 after": status(408, Proof.ARRIVED),
    "499 after": status(499, Proof.ARRIVED),
    "418 after": status(418, Proof.ARRIVED),
    "redirect": status(307, Proof.LOST, headers={"Location": "/elsewhere"}),
    "no answer": Fault("hang_after", Proof.ARRIVED),
    "answer cut off": status(201, Proof.ARRIVED, headers={"Content-Length": "400"}, body='{"data": {"id": "'),
    "answer is a page": status(201, Proof.ARRIVED, **HTML),
    "answer is another server's": Fault("garbage", Proof.LOST),
    "answer without an id": status(201, Proof.ARRIVED, body={"data": {"terminated": False}}),
    "answer is empty": status(201, Proof.ARRIVED),
    "answer is 204": status(204, Proof.ARRIVED),
    "429 with Retry-After": status(429, Proof.REFUSED, headers={"Retry-After": "1"}),
    "401 once": status(401, Proof.REFUSED),
    "400": status(400, Proof.REFUSED),
    "403": status(403, Proof.REFUSED),
    "404 of a gateway": status(404, Proof.REFUSED, **HTML),
    "500 no such workflow": status(500, Proof.REFUSED, body=error("sql: no rows in result set")),
    "no token for a while": Fault("status", Proof.REFUSED, 2, {"status": 503}, "token"),
}


def intents(task: TaskLife, then: Callable[[int], object]) -> None:
    """Do something just before an intent is written, and so just before a POST; it is told which one, from 1."""
    count = itertools.count(1)

    def before_write(_key: str, value: Any) -> None:
        if value.get("phase") == "intent":
            then(next(count))

    task.store.before_write = before_write


@mode
@recoverable
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_fault(payout, emulator, fault: Fault, recoverable, deferrable):
    pay = payout(recoverable=recoverable)
    task = pay.task(deferrable=deferrable)
    fault.arrange(emulator)
    task.execute_to_end()
    if fault.proof is Proof.REFUSED or (fault.proof is Proof.ARRIVED and recoverable):
        assert_paid_once(pay, task)
        return
    arrived = int(fault.proof is Proof.ARRIVED)
    assert_unknown(pay, task, instances=arrived)
    assert task.try_number == 1
    # A person clears it: it looks again, and never submits by itself what may have been submitted.
    task.clear()
    task.execute_to_end()
    assert_unknown(pay, task, instances=arrived)
    assert_money(pay, arrived)


@mode
@recoverable
@pytest.mark.parametrize("status", [401, 403, 429, 400])
def test_refused_for_ever(payout, emulator, status, recoverable, deferrable):
    pay = payout(recoverable=recoverable)
    task = pay.task(deferrable=deferrable)
    emulator.fault("run_workflow", "status", "always", status=status)
    assert task.execute_to_end() == "failed"
    assert task.try_number == 3
    assert task.record["phase"] == "refused"
    assert pay.instances() == []
    emulator.clear_faults()
    task.clear()
    task.execute_to_end()
    assert_paid_once(pay, task)


@mode
def test_token_ends_just_before_the_submission(payout, emulator, deferrable):
    pay = payout()
    task = pay.task(deferrable=deferrable)
    intents(task, lambda number: number == 1 and emulator.fault("token", "expire_tokens"))
    task.execute_to_end()
    assert_paid_once(pay, task)
    assert emulator.counters()["requests"]["run_workflow"] == 2


@mode
def test_token_endpoint_down_just_before_the_submission(payout, emulator, deferrable):
    pay = payout()
    task = pay.task(deferrable=deferrable)

    def end_token(number: int) -> None:
        if number == 1:
            emulator.fault("token", "expire_tokens")
            emulator.fault("token", "status", 7, status=503)

    intents(task, end_token)
    task.execute_to_end()
    assert_paid_once(pay, task)


@mode
def test_connection_refused_for_a_while(payout, gate, deferrable):
    pay = payout()
    task = pay.task(deferrable=deferrable)
    # The kept connection is gone, too: this POST needs a new one. Its third try gets it.
    intents(task, lambda number: gate.close() if number == 1 else number == 3 and gate.open())
    task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.try_number == 1


@mode
def test_connection_refused_for_longer_than_a_try_lasts(payout, gate, deferrable):
    pay = payout()
    task = pay.task(deferrable=deferrable)
    intents(task, lambda number: number == 1 and gate.close())
    assert task.execute() == "up_for_retry"
    assert task.record["phase"] == "refused"
    gate.open()
    task.execute_to_end()
    assert_paid_once(pay, task)


@mode
def test_name_not_found(payout, connect, deferrable):
    pay = payout()
    task = pay.task(deferrable=deferrable)
    connect(host="http://no-such-host.invalid", extra={"allow_http": True})
    assert task.execute() == "up_for_retry"
    assert task.record["phase"] == "begun"
    connect()
    task.execute_to_end()
    assert_paid_once(pay, task)


@mode
def test_worst_case_the_run_starts_while_it_is_looked_for(payout, emulator, deferrable):
    """The server's worker is down: the POST hangs and times out, and the run starts later."""
    pay = payout()
    task = pay.task(deferrable=deferrable, recovery_timeout=30.0)
    emulator.fault("run_workflow", "worker_down")

    def worker_comes_back() -> None:
        wait_for(lambda: emulator.counters()["requests"].get("list_instances", 0) >= 2)
        assert pay.instances() == []  # nothing in the list, and yet it was submitted
        emulator.clear_faults()

    with in_the_background(worker_comes_back):
        task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.try_number == 1


@mode
@recoverable
def test_worst_case_the_run_starts_after_the_task_has_given_up(payout, emulator, recoverable, deferrable):
    pay = payout(recoverable=recoverable)
    task = pay.task(deferrable=deferrable)
    emulator.fault("run_workflow", "worker_down")
    task.execute_to_end()
    assert_unknown(pay, task, instances=0)
    task.clear()
    task.execute_to_end()  # nothing in the list is no proof: not even after a clear
    assert_unknown(pay, task, instances=0)
    emulator.clear_faults()
    wait_for(pay.instances)
    task.clear()
    task.execute_to_end()
    if recoverable:
        assert_paid_once(pay, task)
    else:
        assert_unknown(pay, task, instances=1)
        assert_money(pay, 1)
