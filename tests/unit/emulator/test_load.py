"""Twelve thousand instances at once."""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psutil
import pytest

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from tests.unit.emulator.conftest import Flows

COUNT, CLIENTS = 12_000, 8


@pytest.mark.timeout(180)
def test_twelve_thousand_instances():
    with EmulatorProcess() as emulator:
        flows = Flows(emulator)
        workflow = flows.workflow({"wait_event": {"event": "go"}}, {"noop": {}}, {"noop": {}}, {"noop": {}})
        headers = {"Authorization": str(flows.session.headers["Authorization"])}

        def start(_: int) -> None:
            connection = http.client.HTTPConnection(emulator.url.removeprefix("http://"))
            for number in range(COUNT // CLIENTS):
                path = f"/api/orchestration/workflows/{workflow}/instances"
                connection.request("POST", path, json.dumps({"number": str(number)}), headers)
                with connection.getresponse() as answer:
                    assert answer.status == 201
                    answer.read()
            connection.close()

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(start, range(CLIENTS)))
        process = psutil.Process(emulator.pid)
        assert process.num_threads() <= 3
        assert process.memory_info().rss < 500_000_000

        list_all = f"{emulator.flows_url}/instances?workflowID={workflow}&running=true"
        flows.session.get(list_all, timeout=30)
        began = time.monotonic()
        answer = flows.session.get(list_all, timeout=30)
        seconds = time.monotonic() - began
        listed = msgspec.json.decode(answer.content)["data"]
        assert len(listed) == COUNT
        assert len({one["id"] for one in listed}) == COUNT
        assert seconds < 3  # 0.05 s on a machine that does nothing else

        last = listed[-1]["id"]
        wait_for(lambda: flows.ask("POST", f"/instances/{last}/events", {"name": "x"}).status_code == 204)
        idle = process.cpu_times()
        assert flows.ask("POST", f"/instances/{last}/events", {"name": "go"}).status_code == 204
        wait_for(lambda: flows.instance(last)["terminated"])
        assert process.cpu_times().user - idle.user < 2
        assert len(flows.session.get(list_all, timeout=30).json()["data"]) == COUNT - 1
