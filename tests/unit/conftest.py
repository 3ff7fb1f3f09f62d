"""What tests of run, operators, sensors and triggers share: a stack, its Airflow connection, what was logged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.support.flows import Flows

if TYPE_CHECKING:
    from airflow_provider_orchestration.emulator.testing import EmulatorProcess


@pytest.fixture
def connect_airflow(monkeypatch) -> Callable[..., None]:
    """Set Airflow's connection `formance_default` to an emulator, with further fields."""

    def set_connection(emulator: EmulatorProcess, conn_id: str = "formance_default", **fields: Any) -> None:
        extra = {"connect_timeout": 5, "read_timeout": 5, **fields.pop("extra", {})}
        connection = {
            "conn_type": "formance",
            "host": emulator.url,
            "login": emulator.client_id,
            "password": emulator.client_secret,
            "extra": extra,
            **fields,
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    return set_connection


@pytest.fixture
def flows(emulator, connect_airflow, monkeypatch) -> Iterator[Flows]:
    """The session's emulator behind the connection `formance_default`; clients hardly pause between their tries."""
    connect_airflow(emulator)
    monkeypatch.setattr("airflow_provider_orchestration.api.session.LONGEST_PAUSE", 0.05)
    stack = Flows(emulator)
    yield stack
    stack.client.close()


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Pauses that are made for a real server's pace, cut to that of the emulator."""
    package = "airflow_provider_orchestration"
    for name, seconds in {
        "run.wait.watch.Watch.FIRST_HISTORY": 0.05,
        "run.wait.watch.Watch.DEATH_PAUSE": 0.3,
        "run.judge.death.PROBE_PAUSE": 0.1,
        "run.event.sending._SHORT_PAUSE": 0.05,
        "run.event.sending._LOST_AFTER": 0.6,
        "sensors.instance._NOT_FOUND_PAUSE": 0.05,
        "run.wait.poller._NEWCOMER_WAITS": 0.1,
    }.items():
        monkeypatch.setattr(f"{package}.{name}", seconds)


class Said:
    """What Airflow's loggers were told: of the whole process, in order."""

    def __init__(self, entries: list[Any]) -> None:
        self.entries = entries

    @property
    def lines(self) -> list[str]:
        """The lines."""
        return [str(entry["event"]) for entry in self.entries]

    def having(self, part: str, level: str | None = None) -> list[str]:
        """The lines that contain a text, of one level or of any."""
        return [
            str(entry["event"])
            for entry in self.entries
            if part in str(entry["event"]) and level in (None, entry["log_level"])
        ]


@pytest.fixture
def said() -> Iterator[Said]:
    """What Airflow's loggers are told, with the variables of the context in which they were told."""
    with capture_logs(processors=[merge_contextvars]) as entries:
        yield Said(entries)


@pytest.fixture
def task_states(monkeypatch) -> Callable[[Any], list[dict[str, Any]]]:
    """
    Answer, or raise, what Airflow's supervisor is asked for the states of tasks; returns a list of what was asked.

    The smallest stand-in there is: in a test there is no supervisor. On a real Airflow it is tried in tests/e2e.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    def set_answer(answer: Any) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def get_task_states(**question: Any) -> Any:
            asked.append(question)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))
        return asked

    return set_answer
