"""The servers, the client processes, and the figures of tasks that go on waiting."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from benchmarks.waiting_parts.dbt_cloud import DbtCloudServer
from tests.support.certificates import self_signed

CLIENT = Path(__file__).with_name("client.py")
ACCOUNT = {"account": {"id": "users:${payee}:pending:settlement", "ledger": "default"}}
SEND = {
    "send": {
        "source": {"account": {"id": "world", "ledger": "default"}},
        "destination": ACCOUNT,
        "amount": {"amount": "${amount}", "asset": "EUR/2"},
        "metadata": {"invoice": "${invoice}", "airflow": "${airflow_run_key}", "note": "payout by the nightly batch"},
    }
}
#: Seconds between two looks where the figure does not depend on it, and those of the figures that do.
SHORT, USUAL = 2.0, 10.0
#: Seconds that a client waits before it is measured, and for which it is.
WARM_UP, WINDOW = 5.0, 15.0


class Bench:
    """The emulator with TLS (and more options), and what is needed to start clients; a context manager."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        # The peer opens a connection for each task at the same time; clients inherit it.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.certificate = self_signed(folder)
        self.emulator = EmulatorProcess("--tls-cert", self.certificate, "--tls-key", self.certificate, *options)

    def __enter__(self) -> Bench:
        self.emulator.start()
        from airflow_provider_orchestration.api.client import FlowsClient
        from airflow_provider_orchestration.hooks.connection import settings_from_connection

        self.connection = {
            "conn_type": "formance",
            "host": self.emulator.url,
            "login": self.emulator.client_id,
            "password": self.emulator.client_secret,
            "extra": json.dumps({"verify": str(self.certificate)}),
        }
        from airflow.sdk import Connection

        conn = Connection.from_json(json.dumps(self.connection), conn_id="formance_default")
        self.tokens: list[str] = []
        self.client = FlowsClient(settings_from_connection(conn), on_token=self.tokens.append)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.emulator.stop()

    def instances(self, first_stage: dict[str, Any], variables: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
        """Start instances of a new workflow of four stages; return their ids with that of the workflow."""
        definition = {"name": "payout", "stages": [first_stage, SEND, SEND, SEND]}
        workflow = self.client.create_workflow(definition).id
        common = {"payee": "alice", "amount": "1250", "invoice": "2026-001"}
        with ThreadPoolExecutor(8) as threads:
            started = threads.map(lambda one: self.client.run_workflow(workflow, common | one).id, variables)
            return [(instance, workflow) for instance in started]

    def waiting(self, number: int) -> list[tuple[str, str]]:
        """Forget all, and start instances of one workflow that wait for ever."""
        self.emulator.reset()
        return self.instances({"wait_event": {"event": "approved"}}, [{}] * number)

    @contextmanager
    def process(
        self, order: dict[str, Any], env: dict[str, str] | None = None, script: Path = CLIENT
    ) -> Iterator[ClientProcess]:
        """Start a client process, wait until its tasks wait, and end it."""
        path = self.folder / "order.json"
        path.write_text(json.dumps(order))
        self.emulator.reset_counters()
        more = {"AIRFLOW_CONN_FORMANCE_DEFAULT": json.dumps(self.connection), **(env or {})}
        process = subprocess.Popen(
            [sys.executable, str(script), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "client.log").open("a"),
            text=True,
            env=os.environ | more,
        )
        try:
            client = ClientProcess(process, self.folder / "client.log")
            client.read()
            yield client
        finally:
            if process.stdin:
                process.stdin.close()
            if process.wait(60) and sys.exc_info()[0] is None:
                raise RuntimeError(f"the client ended with {process.returncode}")


@dataclass
class ClientProcess:
    """A client to be asked."""

    process: subprocess.Popen[str]
    log: Path

    def read(self) -> Any:
        """Return its next answer."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise RuntimeError(f"the client has ended: {self.log.read_text()[-2000:]}")
        return json.loads(line)

    def ask(self, what: str, argument: object = None) -> Any:
        """Ask for something."""
        if self.process.stdin:
            self.process.stdin.write(what + (f" {json.dumps(argument)}" if argument is not None else "") + "\n")
            self.process.stdin.flush()
        return self.read()


def pause(seconds: float) -> None:
    """Wait."""
    threading.Event().wait(seconds)


#: Without the stages in the logs, which have a budget of their own; and with it, as it is by default.
NO_STAGES = {"AIRFLOW__FORMANCE__STAGE_READS_PER_SECOND": "0"}


def steady(bench: Bench, number: int) -> dict[str, float]:
    """Return what N tasks that wait on one workflow cost while nothing happens, without the stages in their logs."""
    order = {"kind": "formance", "instances": bench.waiting(number), "interval": SHORT}
    with bench.process(order, NO_STAGES) as client:
        figures = _window(bench, client, number, "list_instances")
        counters = bench.emulator.counters()
    return figures | {"connections": counters["connections"], "tokens": counters["tokens"]}


def stages(bench: Bench, number: int) -> dict[str, float]:
    """Return the requests a second that tell the stages in the logs of N tasks, as it is by default."""
    with bench.process({"kind": "formance", "instances": bench.waiting(number), "interval": USUAL}) as client:
        pause(WARM_UP)
        before = bench.emulator.counters()["requests"]
        pause(USUAL * 2)
        counters = bench.emulator.counters()
        client.ask("measure")
    after = counters["requests"]
    looks = after["list_instances"] - before["list_instances"]
    told = sum(after.values()) - sum(before.values()) - looks
    return {"requests_per_second": told / (USUAL * 2), "connections": counters["connections"]}


def _window(bench: Bench, client: ClientProcess, number: int, looks_are: str) -> dict[str, float]:
    pause(WARM_UP)
    begin, counted = client.ask("measure"), bench.emulator.counters()["requests"]
    pause(WINDOW)
    end, counted_after = client.ask("measure"), bench.emulator.counters()["requests"]
    requests = sum(counted_after.values()) - sum(counted.values())
    looks = counted_after.get(looks_are, 0) - counted.get(looks_are, 0)
    if not looks:
        raise RuntimeError(f"no look in {WINDOW} s")
    cpu = end["cpu"] - begin["cpu"]
    return {
        "requests_per_interval": requests / looks,
        "looks": looks,
        "cpu_per_interval": cpu / looks,
        "cpu_per_task": cpu / looks / number,
        "memory": end["memory"],
    }


def dbt_cloud(bench: Bench, number: int) -> dict[str, float]:
    """Return what N tasks of the dbt-cloud provider cost; each look of each is a request."""
    # A look of ten thousand takes it twenty seconds.
    interval = max(SHORT, number / 300)
    with DbtCloudServer(bench.certificate) as server:
        connection = {"conn_type": "dbt_cloud", "host": f"127.0.0.1:{server.port}", "login": "1", "password": "x-token"}
        order = {"kind": "dbt_cloud", "tasks": number, "interval": interval}
        env = {"AIRFLOW_CONN_DBT_CLOUD_DEFAULT": json.dumps(connection), "SSL_CERT_FILE": str(bench.certificate)}
        with bench.process(order, env) as client:
            pause(WARM_UP)
            begin, counted, connected = client.ask("measure"), server.requests, server.connections
            pause(max(WINDOW, 2 * interval))
            end, counted_after = client.ask("measure"), server.requests
            connections = server.connections - connected
    looks = (counted_after - counted) / number
    cpu = end["cpu"] - begin["cpu"]
    return {
        "requests_per_interval": number,
        "looks": looks,
        "cpu_per_interval": cpu / looks,
        "cpu_per_task": cpu / looks / number,
        "connections_per_interval": connections / looks,
        "memory": end["memory"],
    }


def bare(bench: Bench, number: int) -> dict[str, float]:
    """Return what the least costs: a loop that makes one list request and wakes N futures."""
    instances = bench.waiting(number)
    bench.client.list_triggers()
    order = {
        "kind": "bare",
        "tasks": number,
        "interval": SHORT,
        "token": bench.tokens[-1],
        "certificate": str(bench.certificate),
        "list_url": f"{bench.emulator.flows_url}/instances?workflowID={instances[0][1]}&running=true",
    }
    with bench.process(order) as client:
        return _window(bench, client, number, "list_instances")
