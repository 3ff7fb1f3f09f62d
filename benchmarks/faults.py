"""
What a fault leaves behind: instances, money moved and the task's state, of this provider and of dbt Cloud's.

Each row is one task of one DAG run with two retries, from its first try to its end, in the simulated life of
tests/support/task_life.py, where a retry follows at once; the servers are real: the Flows emulator, and a small one of
dbt Cloud's API. Goal: this provider starts one instance, moves the money once, and is green. But where a 502 hides that
nothing was submitted, nobody can know, so it starts none and is red; and after a clear it is red where the run has
failed or the task's place in its list asks for another payment, and nothing is submitted a second time. A person
decides. Exits 1 where that is missed.

Two faults are a person's clear:

- It comes while a resumed execution runs, so the next try begins in ``execute_complete`` with the old event, as a real
  Airflow does it (tests/e2e/test_resumes.py). Only tasks that defer are resumed, so the other mode has no such row; and
  the run is still at work then because the triggerer's clock is ahead. The run, which has paid, then fails, and the
  worker dies when it knows that. dbt Cloud's operator runs a job anew after any failed run, with no fault at all; so
  only its first run fails here.
- A task is mapped over [A, B]. A's run fails before it moves money, B is paid; then the list, corrected, is [B, A], and
  both are cleared. Each payee has a row: how often a run was started for it, how often it was paid, and the state of
  the task that asks for it in the end. For A, dbt Cloud's retries have run three jobs before the clear.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-airflow-"))

import structlog
from rich.console import Console
from rich.table import Table

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from benchmarks.faults_parts import dbt_tasks, flows
from benchmarks.faults_parts.flows import Outcome, Payments
from benchmarks.faults_parts.lives import MortalLife
from tests.support.certificates import self_signed

FAULTS = (
    "none",
    "answer to the submission lost",
    "502 after the submission took effect",
    "502 before it took effect, which looks the same",
    "SIGKILL right after the submission",
    "the same, and the retry comes after the run has ended",
    "three reads of the state answer 503",
)
NONE, LOST, AFTER_502, BEFORE_502, KILLED, KILLED_LATE, READS_503 = FAULTS
CLEARED = (
    "cleared while a resumed execution runs, then the run fails and the worker dies after it knew the end: the next "
    "try begins with the old event"
)
REORDERED_A, REORDERED_B = (
    f"a mapped list in another order, cleared: {payee}" for payee in ("A, not paid before", "B, paid before")
)
#: What this provider shall leave behind; with any other fault: one instance, paid once, and green.
GOALS = {
    BEFORE_502: (0, 0, "failed"),
    CLEARED: (1, 1, "failed"),
    REORDERED_A: (1, 0, "failed"),
    REORDERED_B: (1, 1, "failed"),
}
#: Seconds after which a run of either server has ended.
LATE = 1.0
Row = tuple[str, bool, list[Outcome]]


def mortal(fault: str) -> dict[str, Any]:
    """Return how a process dies of a fault, and when the next try comes."""
    return {"killed": fault in (KILLED, KILLED_LATE), "retry_delay": LATE if fault == KILLED_LATE else 0.0}


def ours(emulator: EmulatorProcess, fault: str, deferrable: bool) -> Outcome:
    """Let a task pay by Flows while something goes wrong."""
    payee = f"users:{len(emulator.runs())}"
    payments = Payments(emulator, flows.send(payee), flows.delay(5), deferrable=deferrable)
    if fault == LOST:
        emulator.fault("run_workflow", "reset_after")
    elif fault == AFTER_502:
        emulator.fault("run_workflow", "status_after", status=502)
    elif fault == BEFORE_502:
        emulator.fault("run_workflow", "status", status=502)
    elif fault == READS_503:
        emulator.fault("get_instance", "status", 3, status=503)
    life = MortalLife(payments.operator, **mortal(fault))
    state = life.execute_to_end()
    return len(payments.runs()), payments.moved(payee), state


def dbt_cloud(certificate: Path, fault: str, deferrable: bool, reuse: bool) -> Outcome:
    """Let a task run a job of dbt Cloud while the same goes wrong."""
    with dbt_tasks.connected(certificate) as server:
        if fault == LOST:
            server.faults["POST"] = ["lost"]
        elif fault == AFTER_502:
            server.faults["POST"] = ["502"]
        elif fault == BEFORE_502:
            server.faults["POST"] = ["502 before"]
        life = MortalLife(lambda: dbt_tasks.run_job(deferrable=deferrable, reuse=reuse), **mortal(fault))
        if fault == READS_503:
            begin = life.context

            def context() -> dict[str, Any]:
                if not server.started:
                    server.faults["GET"] = ["503"] * 3
                return begin()

            life.context = context  # type: ignore[method-assign]
        state = life.execute_to_end()
        return len(server.started), None, state


def measure(emulator: EmulatorProcess, certificate: Path) -> Iterator[Row]:
    """Yield each row: fault, whether tasks defer, and what it leaves behind with each."""
    for fault in FAULTS:
        for deferrable in (False, True):
            peers = [dbt_cloud(certificate, fault, deferrable, reuse) for reuse in (False, True)]
            yield fault, deferrable, [ours(emulator, fault, deferrable), *peers]
    peers = [dbt_tasks.cleared_while_resumed(certificate, reuse=reuse) for reuse in (False, True)]
    yield CLEARED, True, [flows.cleared_while_resumed(emulator, "users:cleared"), *peers]
    for deferrable in (False, True):
        outcomes = [flows.reordered(emulator, f"users:{deferrable}", deferrable=deferrable)]
        outcomes += [dbt_tasks.reordered(certificate, deferrable=deferrable, reuse=reuse) for reuse in (False, True)]
        for payee, fault in enumerate((REORDERED_A, REORDERED_B)):
            yield fault, deferrable, [each[payee] for each in outcomes]


def main() -> int:
    """Run the matrix, print it, and return 0 if the goal was met."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    table = Table(title="one task, two retries: instances / times the money moved / state of the task")
    for column in ("fault", "mode", "this provider", "dbt-cloud", "dbt-cloud, reuse_existing_run"):
        table.add_column(column)
    kept = True
    with tempfile.TemporaryDirectory() as folder, EmulatorProcess("--time-scale", "0.05") as emulator:
        certificate = self_signed(Path(folder))
        os.environ |= {
            "REQUESTS_CA_BUNDLE": str(certificate),
            "SSL_CERT_FILE": str(certificate),
            "NO_PROXY": "127.0.0.1",
        }
        connection = {"conn_type": "formance", "host": emulator.url, "login": "demo", "password": "demo"}
        os.environ["AIRFLOW_CONN_FORMANCE_DEFAULT"] = json.dumps(connection)
        for fault, deferrable, outcomes in measure(emulator, certificate):
            kept &= outcomes[0] == GOALS.get(fault, (1, 1, "success"))
            mode = "deferrable" if deferrable else "waiting"
            table.add_row(fault, mode, *map(show, outcomes))
    Console(width=130).print(table)
    print(
        f"goal {'met' if kept else 'MISSED'}: one instance, the money moved once, and the task is green; where nobody "
        "can know, none and red; where a person must decide after a clear, no second one and red"
    )
    return 0 if kept else 1


def show(outcome: Outcome) -> str:
    """Return an outcome for the table; dbt Cloud moves no money."""
    instances, moved, state = outcome
    return f"{instances} / {'-' if moved is None else moved} / {state}"


if __name__ == "__main__":
    sys.exit(main())
