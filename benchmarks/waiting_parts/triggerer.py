"""
A real Airflow with one mapped task whose many runs wait in one triggerer at the same time, against the emulator.

``python -m benchmarks.waiting_parts.triggerer``; not among those of ``make bench``, as it takes half an hour: each run
costs two executions of a task in a worker, which are what takes the time. ``--tasks 2000`` by default; PostgreSQL, of
which TEST_POSTGRES_URL names an empty database, is better at it than SQLite. ``--kind`` says what waits: ``run`` (the
operator; the default), or a sensor that begins and ends in a worker (``sensor_in_workers``), ends in the triggerer
(``sensor``), or needs no worker at all (``sensor_started``, in a mapped group of tasks).

Tells how many executions there were in workers, how long it takes until all wait and until all have ended, the memory
of the triggerer, and how often it says that its event loop was blocked (on a busy machine for want of a core, too);
keeps it in docs/waiting.json. Exits 1 where a task fails or a run was started twice.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psutil

from airflow_provider_orchestration.api.client import FlowsClient
from airflow_provider_orchestration.api.settings import ClientSettings
from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from tools.airflow_stack import AirflowStack

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs" / "waiting.json"
DAGS = Path(__file__).parent / "dags"
DAG = "waiting_mapped"
WORKFLOW = {"name": DAG, "stages": [{"wait_event": {"event": "go"}}, {"noop": {}}]}
KINDS = ("run", "sensor_in_workers", "sensor", "sensor_started")
#: What the scheduler's log says of each execution in a worker.
EXECUTED = "Received executor event with state success"
#: Seconds for which requests are counted while all wait.
WINDOW = 30.0


def main() -> int:
    """Run it, print, and return 0 if all went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--kind", choices=KINDS, default="run")
    asked = parser.parse_args()
    tasks = asked.tasks
    # A triggerer keeps a log file open for each task that waits.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with EmulatorProcess() as emulator:
        found = _run(tasks, asked.kind, emulator)
    for name, value in found.items():
        print(f"{name}: {value / 2**20:.0f} MB" if name.startswith("memory") else f"{name}: {value:.4g}")
    if tasks >= 2000:
        figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        FIGURES.write_text(json.dumps(figures | {_name(asked.kind): found}, indent=1) + "\n")
    return 0 if found["green"] == found["runs"] == tasks else 1


def _name(kind: str) -> str:
    return "triggerer" if kind == "run" else f"triggerer_{kind}"


def _run(tasks: int, kind: str, emulator: EmulatorProcess) -> dict[str, Any]:
    settings = ClientSettings(
        base_url=emulator.flows_url,
        token_url=emulator.token_url,
        client_id=emulator.client_id,
        client_secret=emulator.client_secret,
    )
    env = {
        "WAITING_TASKS": str(tasks),
        "WAITING_KIND": kind,
        "AIRFLOW__TRIGGERER__CAPACITY": str(tasks + 100),
        "AIRFLOW__CORE__MAX_MAP_LENGTH": str(tasks),
        # More workers than cores: the scheduler looks at all tasks of the run before it hands out the next few.
        "AIRFLOW__CORE__PARALLELISM": str(6 * (os.cpu_count() or 2)),
    }
    database = os.environ.get("TEST_POSTGRES_URL")
    airflow = AirflowStack([DAGS], env=env, say=print, sql_alchemy_conn=database)
    with FlowsClient(settings) as client, airflow as stack:
        workflow_id = client.create_workflow(WORKFLOW).id
        conf = {"instances": _instances(client, workflow_id, tasks)} if kind != "run" else None
        stack.api.add_connection(
            "formance_default",
            "formance",
            host=emulator.url,
            login=emulator.client_id,
            password=emulator.client_secret,
        )
        stack.api.wait_for_dag(DAG)
        triggerer = stack.components["triggerer"]
        before = _memory(triggerer.pid)
        began = time.monotonic()
        run_id = stack.api.trigger(DAG, conf)
        _watch(stack, run_id, tasks, ["deferred"])
        all_wait = time.monotonic()
        # A look at what waiting asks for.
        time.sleep(10)  # noqa: TID251
        emulator.reset_counters()
        time.sleep(WINDOW)  # noqa: TID251
        asked = emulator.counters()["requests"]
        memory = _memory(triggerer.pid)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda run: client.send_event(run["instance"], "go"), emulator.runs()))
        sent = time.monotonic()
        _watch(stack, run_id, tasks, ["success", "failed"])
        ended = time.monotonic()
        green = _count(stack, run_id, ["success"])
        time.sleep(5)  # noqa: TID251 - the scheduler hears of the last ones
        executed = stack.components["scheduler"].log.read_text(errors="replace").count(EXECUTED)
        blocked = triggerer.log.read_text(errors="replace").count("thread was blocked")
    return {
        "tasks": tasks,
        "green": green,
        "runs": len(emulator.runs()),
        "executions_in_workers": executed,
        "until_all_wait": all_wait - began,
        "from_ends_to_green": ended - sent,
        "from_start_to_end": ended - began - (sent - all_wait),
        "lists_a_second": asked.get("list_instances", 0) / WINDOW,
        "stage_reads_a_second": (sum(asked.values()) - asked.get("list_instances", 0)) / WINDOW,
        "memory": memory,
        "memory_before": before,
        "blocked": blocked,
    }


def _instances(client: FlowsClient, workflow_id: str, number: int) -> list[str]:
    """Start what sensors wait for."""
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda _: client.run_workflow(workflow_id, {}).id, range(number)))


def _watch(stack: AirflowStack, run_id: str, tasks: int, states: Sequence[str]) -> None:
    """Wait until all tasks are in one of these states."""
    deadline = time.monotonic() + 120 + 5 * tasks
    told = time.monotonic()
    while (number := _count(stack, run_id, states)) < tasks:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{number} of {tasks} are {' or '.join(states)}")
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"  {number} are {' or '.join(states)}", flush=True)
        stack.check()
        time.sleep(2)  # noqa: TID251 - a look now and then


def _count(stack: AirflowStack, run_id: str, states: Sequence[str]) -> int:
    """Return how many tasks of the run are in one of these states; a whole list would keep Airflow's API at work."""
    query = urlencode({"state": states, "limit": 1}, doseq=True)
    path = f"/api/v2/dags/{DAG}/dagRuns/{quote(run_id, safe='')}/taskInstances?{query}"
    return int(stack.api._send("GET", path)["total_entries"])


def _memory(pid: int) -> int:
    """Return the memory of a process and its children, what they share counted once for each."""
    process = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


if __name__ == "__main__":
    sys.exit(main())
