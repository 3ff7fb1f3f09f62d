"""What a month of tokens, a credential that is refused, and a very long workflow cost all who share a triggerer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.waiting_parts.measure import SHORT, WARM_UP, Bench, pause

#: Tokens of a hundred, whose cost is compared with that of the first hundred.
HUNDRED = 100
#: Seconds for which the credentials are refused.
REFUSED_FOR = 120.0
#: Seconds for which triggers that do nothing are measured beside.
IDLE_FOR = 20.0
#: Seconds for which a long workflow is looked at.
LOOKED_AT_FOR = 10 * SHORT


def tokens(bench: Bench, number: int, of_plain: int) -> dict[str, dict[str, float]]:
    """
    Return what a process costs after N tokens, and one that has each of its tokens masked, as a plain hook does.

    :param of_plain: tokens of the second; its cost grows with their square.
    """
    return {"here": _tokens(bench, number, mask_each=False), "plain": _tokens(bench, of_plain, mask_each=True)}


def _tokens(bench: Bench, number: int, *, mask_each: bool) -> dict[str, float]:
    bench.emulator.reset()
    with bench.process({"kind": "calls", "mask_each": mask_each}) as client:
        client.ask("call")
        begin = client.ask("measure")
        cpu = [begin["cpu"]]
        for one in range(1, number + 1):
            bench.emulator.fault("list_triggers", "expire_tokens")
            client.ask("call")
            if one % HUNDRED == 0:
                cpu.append(client.ask("measure")["cpu"])
        memory, fetched = client.ask("measure")["memory"], bench.emulator.counters()["tokens"]
    if fetched < number:
        raise RuntimeError(f"{fetched} tokens instead of {number}")
    return {
        "tokens": number,
        "memory": memory - begin["memory"],
        "cpu_first": (cpu[1] - cpu[0]) / HUNDRED,
        "cpu_last": (cpu[-1] - cpu[-2]) / HUNDRED,
    }


def refused(bench: Bench, number: int) -> dict[str, float]:
    """Return what N tasks cost, on a workflow each, while Flows refuses every token; and that they go on after it."""
    bench.emulator.reset()
    # What watches the holds wakes a thousand times a second, which is most of the CPU of a process that waits.
    with bench.process({"kind": "idle", "tasks": number, "modules": True, "watch_holds": True}) as idle:
        pause(WARM_UP)
        before = idle.ask("measure")["cpu"]
        pause(IDLE_FOR)
        of_idle = (idle.ask("measure")["cpu"] - before) / IDLE_FOR
    with ThreadPoolExecutor(8) as threads:
        made = threads.map(lambda _: bench.instances({"wait_event": {"event": "approved"}}, [{}]), range(number))
        instances = [started for one in made for started in one]
    order = {"kind": "formance", "instances": instances, "interval": SHORT, "watch_holds": True}
    with bench.process(order) as client:
        pause(WARM_UP)
        begin, counted = client.ask("measure"), bench.emulator.counters()
        for operation in ("get_instance", "get_instance_history", "list_instances", "get_workflow"):
            bench.emulator.fault(operation, "status", "always", status=401)
        pause(REFUSED_FOR)
        end, counted_after = client.ask("measure"), bench.emulator.counters()
        bench.emulator.clear_faults()
        healed_at = time.monotonic()
        for instance, _ in instances:
            bench.client.send_event(instance, "approved")
        while client.ask("measure")["ended"] < number:
            if time.monotonic() > healed_at + REFUSED_FOR:
                raise RuntimeError("not all ends were seen after it healed")
            pause(1)
    requests = sum(counted_after["requests"].values()) - sum(counted["requests"].values())
    return {
        "tasks": number,
        "seconds": REFUSED_FOR,
        "tokens": counted_after["tokens"] - counted["tokens"],
        "requests": requests,
        "cpu": (end["cpu"] - begin["cpu"]) / REFUSED_FOR - of_idle,
        "hold": end["longest"]["hold"],
        "own": end["longest"]["own"],
        "memory": end["memory"] - begin["memory"],
        "healed_after": time.monotonic() - healed_at,
    }


def long_workflow(bench: Bench, stages: int) -> dict[str, float]:
    """Return how long looks at one instance hold the event loop, which waits for an event half-way in N stages."""
    bench.emulator.reset()
    half = stages // 2
    definition = {
        "name": "long",
        "stages": [
            *({"delay": {"duration": "1ms"}} for _ in range(half)),
            *({"wait_event": {"event": f"e{one}"}} for one in range(half, stages)),
        ],
    }
    workflow = bench.client.create_workflow(definition).id
    instance = bench.client.run_workflow(workflow, {}).id
    deadline = time.monotonic() + 300
    while not (status := bench.client.get_instance(instance).status) or len(status) <= half:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {len(status or ())} of {half} stages have ended")
        pause(1)
    order: dict[str, Any] = {"kind": "event", "instances": [(instance, workflow)], "event": f"e{stages - 1}"}
    with bench.process(order | {"interval": SHORT, "watch_holds": True}) as client:
        pause(WARM_UP)
        client.ask("measure")
        counted = bench.emulator.counters()["requests"]["get_instance"]
        pause(LOOKED_AT_FOR)
        longest = client.ask("measure")["longest"]
        looks = bench.emulator.counters()["requests"]["get_instance"] - counted
    return {"stages": stages, "looks": looks, "hold": longest["hold"], "own": longest["own"]}
