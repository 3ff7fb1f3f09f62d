"""The figures of tasks whose instances end, of tasks on many workflows, and of a burst that the server turns away."""

from __future__ import annotations

import io
import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from typing import Any

from benchmarks.waiting_parts.measure import NO_STAGES, SHORT, USUAL, WARM_UP, WINDOW, Bench, pause

#: Seconds that a read takes on the server.
READ = 0.02
#: Workers that run the tasks of a burst, as an executor's slots, and requests a second that the server takes.
WORKERS, RATE = 32, 100


def ends(bench: Bench, number: int, bursts: int) -> dict[str, Any]:
    """
    Return intervals from the end of an instance to its event: where ends are spread, and where N end at once.

    All in one run: N instances of one workflow that end over four intervals, then the bursts, N of a workflow each. How
    long a burst waits depends on when in the interval it comes, so they are spread evenly over one.
    """
    bench.emulator.reset()
    # Time to start them all, and the client.
    begin = time.time() + number * (1 + bursts) / 150 + 20
    crowds = [[begin + 4 * USUAL * index / number for index in range(number)]]
    crowds += [[begin + (4.5 + (index + 0.5) / bursts) * USUAL] * number for index in range(bursts)]
    started = []
    for crowd in crowds:
        wanted = [{"until": datetime.fromtimestamp(until, UTC).isoformat()} for until in crowd]
        started.append(bench.instances({"delay": {"until": "${until}"}}, wanted))
    for operation in ("get_instance", "get_instance_history", "get_workflow"):
        bench.emulator.fault(operation, "delay", "always", seconds=READ)
    instances = [one for crowd in started for one in crowd]
    with bench.process({"kind": "formance", "instances": instances, "interval": USUAL}) as client:
        late = time.time() > begin
        deadline = crowds[-1][-1] + 3 * USUAL
        while client.ask("measure")["ended"] < len(instances) and time.time() < deadline:
            pause(1)
        events, counters = client.ask("events"), bench.emulator.counters()
    bench.emulator.clear_faults()
    if late or len(events) < len(instances):
        raise RuntimeError(f"began too late: {late}; {len(events)} of {len(instances)} events came")
    took = []
    for waited in started:
        listed = bench.client.list_instances(waited[0][1])
        ended = {one.id: one.terminated_at.timestamp() for one in listed if one.terminated_at}
        took.append([(events[instance] - ended[instance]) / USUAL for instance, _ in waited])
    return {
        "spread": _spread(took[0]),
        "at_once": _spread([one for crowd in took[1:] for one in crowd]),
        "ended_at_once": number,
        "connections": counters["connections"],
        "tokens": counters["tokens"],
    }


def _spread(took: list[float]) -> dict[str, float]:
    return {"mean": statistics.mean(took), "longest": max(took)}


#: So that what all of them cost is seen; by default their looks are spread at 20 a second.
AT_ANY_PACE = NO_STAGES | {"AIRFLOW__FORMANCE__SINGLE_READS_PER_SECOND": "1000"}


def workflows(bench: Bench, number: int) -> dict[str, float]:
    """Return what N tasks cost that wait on a workflow each."""
    bench.emulator.reset()
    with ThreadPoolExecutor(8) as threads:
        made: list[Callable[[], Any]] = [lambda: bench.instances({"wait_event": {"event": "approved"}}, [{}])] * number
        instances = [started for one in threads.map(lambda make: make(), made) for started in one]
    interval = USUAL if number > 500 else SHORT
    with bench.process({"kind": "formance", "instances": instances, "interval": interval}, AT_ANY_PACE) as client:
        pause(WARM_UP + interval)
        begin, counted = client.ask("measure"), bench.emulator.counters()["requests"]
        pause(max(WINDOW, 2 * interval))
        end, counted_after = client.ask("measure"), bench.emulator.counters()
    looks = (counted_after["requests"]["get_instance"] - counted["get_instance"]) / number
    requests = sum(counted_after["requests"].values()) - sum(counted.values())
    return {
        "tasks": number,
        "requests_per_interval": requests / looks,
        "cpu_per_task": (end["cpu"] - begin["cpu"]) / looks / number,
        "connections": counted_after["connections"],
    }


def burst(bench: Bench, number: int) -> dict[str, float]:
    """Return how N runs fare that all begin at once at a server that answers 429 above a rate."""
    from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
    from tests.support.task_life import TaskLife

    bench.emulator.reset()
    workflow = bench.client.create_workflow({"name": "burst", "stages": [{"send": {**_SEND}}]}).id
    os.environ["AIRFLOW_CONN_FORMANCE_DEFAULT"] = json.dumps(bench.connection)
    bench.emulator.fault("*", "rate_limit", per_second=RATE)

    def run(index: int) -> str:
        def make() -> Any:
            variables = {"payee": f"user{index}", "amount": "1"}
            return RunWorkflowOperator(
                task_id="pay", workflow_id=workflow, variables=variables, deferrable=False, poll_interval=1, retries=5
            )

        return TaskLife(make, retries=5, map_index=index).execute_to_end()

    began = time.monotonic()
    # The tasks' logs, and a line for each 429.
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), ThreadPoolExecutor(WORKERS) as threads:
        states = list(threads.map(run, range(number)))
    seconds = time.monotonic() - began
    asked = bench.emulator.counters()["requests"]["run_workflow"]
    bench.emulator.clear_faults()
    payees = [one["variables"]["payee"] for one in bench.emulator.runs()]
    return {
        "runs": number,
        "succeeded": states.count("success"),
        "twice": len(payees) - len(set(payees)),
        "turned_away": asked - len(payees),
        "seconds": seconds,
    }


_SEND = {
    "source": {"account": {"id": "world", "ledger": "default"}},
    "destination": {"account": {"id": "${payee}", "ledger": "default"}},
    "amount": {"amount": "${amount}", "asset": "EUR/2"},
    "metadata": {"airflow": "${airflow_run_key}"},
}


def crossing(bench: Bench) -> dict[int, dict[str, float]]:
    """Return what one list of some that wait costs the client, and what reading each of them does: seconds of CPU."""
    from airflow_provider_orchestration.run.wait.lists import running_ids
    from airflow_provider_orchestration.run.wait.watch import take_look

    found = {}
    for number in (1, 2, 3, 5, 10, 20):
        instances = bench.waiting(number)
        workflow = instances[0][1]
        lists, reads = [], []
        for _ in range(40):
            begun = time.process_time()
            running_ids(bench.client, workflow)
            between = time.process_time()
            for instance, _workflow in instances:
                take_look(bench.client, instance, with_history=False)
            lists.append(between - begun)
            reads.append(time.process_time() - between)
        found[number] = {"list": statistics.mean(lists), "reads": statistics.mean(reads)}
    return found
