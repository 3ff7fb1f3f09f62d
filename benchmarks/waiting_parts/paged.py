"""What waiting costs on both generations of server: one list for all, or pages of a hundred."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.waiting_parts.measure import NO_STAGES, SHORT, WARM_UP, Bench, pause

#: Instances that are ended one after another, to see when their events come, and seconds for which they may.
ENDED, PATIENCE = 20, 120.0


def waiting(bench: Bench, number: int, *, paged: bool) -> dict[str, Any]:
    """Return what N tasks on one workflow cost an interval, and seconds from the end of an instance to its event."""
    instances = bench.waiting(number)
    pages = number // 100 if paged else 1
    operation = "list_instances_v2" if paged else "list_instances"
    order = {"kind": "formance", "instances": instances, "interval": SHORT, "watch_holds": True}
    with bench.process(order, NO_STAGES) as client:
        pause(2 * WARM_UP)
        begin, counted, began = client.ask("measure"), bench.emulator.counters()["requests"], time.monotonic()
        # Long enough for several looks, of which each is followed by three times the time that it took.
        while (looks := (bench.emulator.counters()["requests"][operation] - counted[operation]) // pages) < 5:
            pause(0.1)
            if time.monotonic() > began + PATIENCE:
                raise RuntimeError(f"only {looks} looks in {PATIENCE} s")
        seconds = time.monotonic() - began
        end, counted_after = client.ask("measure"), bench.emulator.counters()["requests"]
        took = _ends(bench, client, [instance for instance, _ in instances[:ENDED]])
    requests = sum(counted_after.values()) - sum(counted.values())
    return {
        "requests_per_interval": requests / looks,
        "seconds_per_interval": seconds / looks,
        "cpu_per_task": (end["cpu"] - begin["cpu"]) / looks / number,
        "hold": end["longest"]["hold"],
        "own": end["longest"]["own"],
        "memory": end["memory"],
        "end_to_event": {"mean": statistics.mean(took), "longest": max(took)},
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
