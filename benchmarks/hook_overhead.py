"""
What the hook costs: 200 `get_instance` calls by it, and the same by a bare `requests.Session`, in the same run.

Goal: at most 1.15 of the bare session's time, 1 connection, 1 token. Exits 1 where it is missed.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orchestration.emulator.testing import EmulatorProcess

CALLS = 200
ROUNDS = 25
GOAL = 1.15


def main() -> int:
    """Measure, print, and return 0 if the goal was met."""
    from airflow_provider_orchestration.emulator.testing import EmulatorProcess
    from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook

    with EmulatorProcess() as emulator, requests.Session() as bare:
        address = _start_instance(emulator, bare)
        os.environ["AIRFLOW_CONN_FORMANCE_DEFAULT"] = json.dumps(
            {
                "conn_type": "formance",
                "host": emulator.url,
                "login": emulator.client_id,
                "password": emulator.client_secret,
            }
        )
        instance_id = address.rpartition("/")[2]
        hook = OrchestrationHook()

        def by_hook() -> Any:
            return hook.get_instance(instance_id)

        def by_bare_session() -> Any:
            answer = bare.get(address, timeout=30)
            answer.raise_for_status()
            return answer.json()["data"]

        emulator.reset_counters()
        _seconds(by_hook, CALLS)
        counted = emulator.counters()
        _seconds(by_bare_session, CALLS)

        # In turns, each first in every other round: what else the machine does falls on both.
        hooks: list[float] = []
        bares: list[float] = []
        for number in range(ROUNDS):
            for call, times in sorted(
                [(by_hook, hooks), (by_bare_session, bares)], key=lambda pair: (pair[0] is by_hook) == (number % 2 == 0)
            ):
                times.append(_seconds(call, CALLS))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(hooks, bares, strict=True))

    print(f"{CALLS} get_instance calls, {ROUNDS} rounds, medians")
    print(f"  bare requests.Session  {statistics.median(bares):.3f} s")
    print(f"  OrchestrationHook      {statistics.median(hooks):.3f} s")
    print(f"  ratio                  {ratio:.3f}   (goal: at most {GOAL})")
    print(f"  connections            {counted['connections']}       (goal: 1)")
    print(f"  tokens                 {counted['tokens']}       (goal: 1)")
    met = ratio <= GOAL and counted["connections"] == counted["tokens"] == 1
    print("goal met" if met else "goal MISSED")
    return 0 if met else 1


def _start_instance(emulator: EmulatorProcess, bare: requests.Session) -> str:
    """Start an instance that waits, with a token that the hook does not share; return its address."""
    credentials = {"client_id": emulator.client_id, "client_secret": emulator.client_secret}
    scope = "openid orchestration:read orchestration:write"
    form = {"grant_type": "client_credentials", "scope": scope, **credentials}
    token = bare.post(emulator.token_url, data=form, timeout=30).json()["access_token"]
    bare.headers["Authorization"] = f"Bearer {token}"
    definition = {"name": "overhead", "stages": [{"wait_event": {"event": "never"}}]}
    workflow = bare.post(f"{emulator.flows_url}/workflows", json=definition, timeout=30).json()["data"]
    runs = f"{emulator.flows_url}/workflows/{workflow['id']}/instances"
    return f"{emulator.flows_url}/instances/{bare.post(runs, json={}, timeout=30).json()['data']['id']}"


def _seconds(call: Callable[[], Any], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - began


if __name__ == "__main__":
    # Airflow makes files where it is imported: in a folder of its own, and not in the developer's.
    home = tempfile.mkdtemp(prefix="benchmark-airflow-")
    os.environ["AIRFLOW_HOME"] = home
    try:
        sys.exit(main())
    finally:
        shutil.rmtree(home, ignore_errors=True)
