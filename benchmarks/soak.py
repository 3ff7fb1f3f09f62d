"""
A triggerer's life in short: what it holds while tasks, connections, tokens and faults come and go must stay as it is.

1,000 tasks wait on 50 connections; each second some of their instances end and others begin; tokens last a minute, a
connection goes and another comes every 10 s, and every 15 s another fault begins, which lasts for 8. Prints memory,
threads, sockets and the longest hold of the event loop over time, and exits 1 where one of them grows, an end is missed
or any other verdict is given. `--minutes 10` is the least that says something; let it run as long as you like.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from benchmarks.soak_parts.judge import Sample
    from benchmarks.waiting_parts.measure import Bench, ClientProcess

CLIENT = ROOT / "benchmarks" / "soak_parts" / "client.py"
#: Seconds between two looks, and of a token.
INTERVAL, TOKEN = 5.0, 60
#: Whole seconds between two samples (and two connections), between two faults, and of a fault.
SAMPLE, FAULTS, FAULT = 10, 15, 8
#: Connections that are away.
GONE = 10
#: Instances that end each second.
ENDS = 10
READS = ("get_instance", "get_instance_history", "list_instances")
#: What goes wrong, in turn: the operations, the kind, and what it needs.
TROUBLES: tuple[tuple[tuple[str, ...], str, dict[str, Any]], ...] = (
    (READS, "status", {"status": 503}),
    (READS, "status", {"status": 429, "headers": {"Retry-After": "2"}}),
    (READS, "reset_before", {}),
    (READS, "reset_after", {}),
    (READS, "garbage", {}),
    (READS, "delay", {"seconds": 2.0}),
    (READS, "status", {"status": 401}),
    (READS, "status", {"status": 404}),
    (("token",), "status", {"status": 500}),
    (("token",), "reset_before", {}),
    (("token",), "status", {"status": 401}),
)


class World:
    """The stack with what runs there, and the process that waits for it."""

    def __init__(self, bench: Bench, client: ClientProcess, tasks: int, connections: int) -> None:
        self.bench, self.client = bench, client
        self.share = tasks // connections
        # Those that went come again after a while: Airflow masks the extra of each connection that it ever reads, and
        # keeps some 90 kB for it (found here).
        self.names = itertools.cycle(f"soak_{number}" for number in range(connections + GONE))
        self.waiting: dict[str, list[str]] = defaultdict(list)
        self.ended = 0
        for _ in range(connections):
            self.come()

    def come(self) -> None:
        """Have another connection, with its share of the tasks."""
        name = next(self.names)
        # Each trusts a file of its own, so that it has a token of its own.
        certificate = shutil.copy(self.bench.certificate, self._certificate(name))
        extra = json.dumps({"verify": str(certificate)})
        self.client.ask("come", {name: self.bench.connection | {"extra": extra}})
        self.begin(name, self.share)

    def go(self) -> None:
        """Have the oldest connection go, with those who wait on it."""
        name = next(iter(self.waiting))
        left, waiting = self.client.ask("leave", name)["left"], self.waiting.pop(name)
        self._certificate(name).unlink()
        # Those whose end had not been seen yet.
        self.ended -= left - len(waiting)
        for instance in waiting:
            self._end(instance)

    def _certificate(self, name: str) -> Path:
        return self.bench.folder / f"{name}.pem"

    def begin(self, name: str, number: int) -> None:
        """Have some wait on a connection."""
        started = self.bench.instances({"wait_event": {"event": "approved"}}, [{}] * number)
        self.client.ask("begin", [(name, instance, workflow) for instance, workflow in started])
        self.waiting[name] += [instance for instance, _ in started]

    def _end(self, instance: str) -> None:
        """Let an instance end, once it waits for the event."""
        from airflow_provider_orchestration.exceptions import NotFoundError

        deadline = time.monotonic() + 10
        while True:
            try:
                self.bench.client.send_event(instance, "approved")
                return
            except NotFoundError:
                if time.monotonic() > deadline:
                    raise
            _pause(0.05)

    def end_some(self, number: int) -> None:
        """Have instances of one connection end, and as many others begin."""
        name = random.choice(list(self.waiting))
        for _ in range(min(number, len(self.waiting[name]))):
            instance = self.waiting[name].pop(random.randrange(len(self.waiting[name])))
            self._end(instance)
            self.ended += 1
        self.begin(name, self.share - len(self.waiting[name]))


def soak(world: World, seconds: int) -> list[Sample]:
    """Have things come and go for some seconds, and return what was seen, printed as it comes."""
    samples: list[Sample] = []
    troubles = itertools.cycle(TROUBLES)
    trouble: tuple[str, ...] = ()
    begun = time.monotonic()
    print("seconds | waiting | ended | memory MB | threads | sockets | hold ms | meanwhile", flush=True)
    said = "nothing"
    for second in range(1, seconds + 1):
        _pause(max(0.0, begun + second - time.monotonic()))
        if second % SAMPLE == 0:
            found = world.client.ask("measure")
            samples.append(_sample(second, found))
            print(_line(samples[-1], found, said), flush=True)
        if second % FAULTS == 0:
            trouble, kind, more = next(troubles)
            said = f"{', '.join(trouble) if trouble != READS else 'reads'}: {kind} {more or ''}"
            for operation in trouble:
                world.bench.emulator.fault(operation, kind, "always", **more)
        elif second % FAULTS == FAULT:
            world.bench.emulator.clear_faults()
            trouble, said = (), "nothing"
        if "token" in trouble:
            # The side that begins and ends things needs tokens, too.
            continue
        world.end_some(ENDS)
        if second % SAMPLE == SAMPLE // 2:
            world.go()
            world.come()
    world.bench.emulator.clear_faults()
    return samples


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def _sample(second: int, found: dict[str, Any]) -> Sample:
    from benchmarks.soak_parts.judge import Sample

    return Sample(second, found["memory"], found["threads"], found["sockets"], found["longest"]["own"])


def _line(sample: Sample, found: dict[str, Any], said: str) -> str:
    ended = sum(found["verdicts"].values())
    held = f"{sample.memory / 2**20:.1f} | {sample.threads} | {sample.sockets} | {sample.hold * 1000:.0f}"
    return f"{sample.at} | {found['waiting']} | {ended} | {held} | {said}"


def verdicts(world: World) -> list[str]:
    """Return what is wrong with the verdicts: those of ended instances must all come, and no others."""
    deadline = time.monotonic() + 120
    while sum((found := world.client.ask("measure")["verdicts"]).values()) < world.ended:
        if time.monotonic() > deadline:
            break
        _pause(1)
    print(f"{world.ended} instances ended; verdicts: {found}")
    return [] if found == {"ended": world.ended} else [f"verdicts {found} where {world.ended} instances ended"]


def main() -> int:
    """Soak, judge, and return 0 if all is flat and nothing was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=50)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="benchmark-soak-"))
    # Airflow makes files where it is imported: in a folder of its own, and not in the developer's.
    os.environ["AIRFLOW_HOME"] = str(folder)
    from benchmarks.soak_parts.judge import ALLOWED, complaints, growth
    from benchmarks.waiting_parts.measure import Bench

    order = {"kind": "soak", "interval": INTERVAL, "watch_holds": True}
    try:
        with Bench(folder, "--token-seconds", str(TOKEN)) as bench, bench.process(order, script=CLIENT) as client:
            world = World(bench, client, args.tasks, args.connections)
            samples = soak(world, round(args.minutes * 60))
            wrong = verdicts(world)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for figure in ALLOWED:
        start, end = growth(samples, figure)
        print(f"{figure}: {start:,.6g} at the beginning of the judged part, {end:,.6g} at its end")
    wrong += complaints(samples)
    print("NOT FLAT: " + "; ".join(wrong) if wrong else "all flat, no end missed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
