"""How long the event loop is held, and the memory of triggers that do nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.waiting_parts.measure import WARM_UP, Bench, ClientProcess, pause

#: Windows in which the longest hold is looked for: what else the machine does falls into some of them, and how many
#: instances end at once in one of them.
WINDOWS, AT_ONCE = 5, 1000
#: Clients that begin, and seconds between two looks: long enough for a thousand to be ended between two of them.
BEGINNINGS, INTERVAL = 3, 4.0
#: Seconds for which the events of a window may come after it, where a list takes as long as an interval.
PATIENCE = 30.0


def idle(bench: Bench, number: int) -> dict[str, Any]:
    """Return the memory and the holds of N triggers that do nothing, and the memory without the modules."""
    order = {"kind": "idle", "tasks": number, "modules": True, "watch_holds": True}
    with bench.process(order) as client:
        pause(WARM_UP)
        answer = client.ask("measure")
    with bench.process(order | {"modules": False}) as client:
        pause(WARM_UP)
        without = client.ask("measure")["memory"]
    return {"memory": answer["memory"], "without_modules": without, "begin": _longest([answer["longest"]])}


def holds(bench: Bench, number: int) -> dict[str, dict[str, float]]:
    """Return how long the event loop is held: while N begin, while nothing happens, and while a thousand end."""
    begin: list[dict[str, float]] = []
    instances = bench.waiting(number)
    order = {"kind": "formance", "instances": instances, "interval": INTERVAL, "watch_holds": True}
    for _ in range(BEGINNINGS):
        with bench.process(order) as client:
            begin.append(_window(client, WARM_UP))
    with bench.process(order) as client:
        _window(client, WARM_UP)
        steady = [_window(client, 2 * INTERVAL) for _ in range(WINDOWS)]
        ends = []
        for at in range(0, AT_ONCE * WINDOWS, AT_ONCE):
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(lambda one: bench.client.send_event(one[0], "approved"), instances[at : at + AT_ONCE]))
            ends.append(_window(client, 2 * INTERVAL))
            deadline = time.monotonic() + PATIENCE
            while client.ask("measure")["ended"] < at + AT_ONCE:
                if time.monotonic() > deadline:
                    raise RuntimeError("not all events came")
                pause(1)
    return {"begin": _longest(begin), "steady": _longest(steady), "ends": _longest(ends)}


def _window(client: ClientProcess, seconds: float) -> dict[str, float]:
    pause(seconds)
    longest: dict[str, float] = client.ask("measure")["longest"]
    return longest


def _longest(windows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the longest hold of all, of a usual window, what of it was this process' own, and the collector's."""
    return {
        "longest": max(one["hold"] for one in windows),
        "usual": statistics.median(one["hold"] for one in windows),
        "own": max(one["own"] for one in windows),
        "collection": max(one["collection"] for one in windows),
    }
