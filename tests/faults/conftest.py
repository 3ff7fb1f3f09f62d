"""The stack that breaks: an emulator of its own, fifty times as fast as the real server, and a connection to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from tests.faults.gate import Gate
from tests.faults.payout import Payout
from tests.faults.quick import QUICK


@pytest.fixture(scope="package")
def fault_emulator(flows_server) -> Iterator[EmulatorProcess]:
    with EmulatorProcess("--time-scale", "0.02", server=flows_server) as process:
        yield process


@pytest.fixture
def emulator(fault_emulator: EmulatorProcess) -> Iterator[EmulatorProcess]:
    """An emulator with counters at zero and without faults; its workflows and instances stay."""
    fault_emulator.clear_faults()
    fault_emulator.reset_counters()
    yield fault_emulator
    fault_emulator.clear_faults()


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    for target, value in QUICK.items():
        monkeypatch.setattr(target, value)


def connection(emulator: EmulatorProcess, **fields: object) -> str:
    """Return a connection to the emulator as Airflow takes it from the environment."""
    extra = {"read_timeout": 1.0, "connect_timeout": 1.0} | dict(fields.pop("extra", {}) or {})  # type: ignore[call-overload]
    conn = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret, **fields}
    return json.dumps({"conn_type": "formance", "extra": json.dumps(extra), **conn})


@pytest.fixture
def connect(emulator, monkeypatch) -> Callable[..., None]:
    """Change the connection `formance_default`, e.g. its host."""

    def change(**fields: object) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_FORMANCE_DEFAULT", connection(emulator, **fields))

    return change


@pytest.fixture
def gate(emulator, connect, payout) -> Iterator[Gate]:
    """Lead the connection through a gate that can be closed."""
    with Gate(int(emulator.url.rpartition(":")[2])) as gate:
        connect(host=f"http://127.0.0.1:{gate.port}")
        yield gate


@pytest.fixture
def payout(emulator, connect) -> Callable[..., Payout]:
    """Make payouts, see `Payout`; there is a connection to the emulator."""
    connect()
    hook = OrchestrationHook()
    hook.get_conn()  # whatever becomes of the connection later, the test itself can look
    return lambda *then, **options: Payout(emulator, hook, *then, **options)
