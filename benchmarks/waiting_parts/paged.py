"""What waiting costs on both generations of server: one list for all, or pages of a hundred."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.waiting_parts.measure import NO_STAGES, SHORT, WARM_UP, Bench, pause

#: Instances that are ended one after another, to see when their events come, and seconds for which they may.
ENDED, PATIENCE = 20, 120.0
#: Looks of which the cost is the mean.
LOOKS = 5


def waiting(bench: Bench, number: int, *, paged: bool) -> dict[str, Any]:
    """Return what N tasks on one workflow cost an interval, and seconds from the end of an instance to its event."""
    instances = bench.waiting(number)
    pages = number // 100 if paged else 1
    operation = "list_instances_v2" if paged else "list_instances"
    order = {"kind": "formance", "instances": instances, "interval": SHORT}
    with bench.process(order, NO_STAGES) as client:
        cost = _cost(bench, client, operation, pages)
    # In a process of its own: what watches the holds takes more CPU than all that waits.
    with bench.process(order | {"watch_holds": True}, NO_STAGES) as client:
        pause(2 * WARM_UP)
        client.ask("measure")
        pause(4 * cost["seconds_per_interval"])
        longest = client.ask("measure")["longest"]
        took = _ends(bench, client, [instance for instance, _ in instances[:ENDED]])
    return {
        **cost,
        "cpu_per_task": cost["cpu_per_interval"] / number,
        "hold": longest["hold"],
        "own": longest["own"],
        "end_to_event": {"mean": statistics.mean(took), "longest": max(took)},
    }


def _cost(bench: Bench, client: Any, operation: str, pages: int) -> dict[str, float]:
    """Return what an interval costs, of several: each look is followed by three times the time that it took."""
    pause(2 * WARM_UP)
    begin, counted, began = client.ask("measure"), bench.emulator.counters()["requests"], time.monotonic()
    while (looks := (bench.emulator.counters()["requests"][operation] - counted[operation]) // pages) < LOOKS:
        pause(0.1)
        if time.monotonic() > began + PATIENCE:
            raise RuntimeError(f"only {looks} looks in {PATIENCE} s")
    seconds = time.monotonic() - began
    end, counted_after = client.ask("measure"), bench.emulator.counters()["requests"]
    return {
        "requests_per_interval": (sum(counted_after.values()) - sum(counted.values())) / looks,
        "seconds_per_interval": seconds / looks,
        "cpu_per_interval": (end["cpu"] - begin["cpu"]) / looks,
        "memory": end["memory"],
    }


def _ends(bench: Bench, client: Any, instances: list[str]) -> list[float]:
    for instance in instances:
        bench.client.send_event(instance, "approved")
        pause(SHORT / 4)
    deadline = time.monotonic() + PATIENCE
    while client.ask("measure")["ended"] < len(instances):
        if time.monotonic() > deadline:
            raise RuntimeError("not all events came")
        pause(0.5)
    events = client.ask("events")
    ended = {instance: bench.client.get_instance(instance).terminated_at for instance in instances}
    return [events[instance] - at.timestamp() for instance, at in ended.items() if at is not None]
