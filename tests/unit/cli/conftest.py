"""The commands, run in this process against a stand-in of Airflow's REST API and the emulator."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_orchestration.cli import get_cli_commands
from airflow_provider_orchestration.run.record import Phase
from tests.support.airflow_rest import AirflowRest, Key
from tests.support.flows import send, unique

KEY: Key = ("dag", "manual__2026-11-23T18:00:00+00:00", "pay", -1)


@dataclass
class Ended:
    """A command that has ended: what it printed, and its error line, if any."""

    out: str
    err: str
    error: str | None

    @property
    def json(self) -> Any:
        assert self.error is None, self.error
        return json.loads(self.out)


@pytest.fixture
def airflow_rest(monkeypatch) -> Iterator[AirflowRest]:
    """Airflow's API, with a user whose token lies in the environment."""
    with AirflowRest() as server:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", server.url)
        monkeypatch.setenv("AIRFLOW_API_TOKEN", str(server.token))
        yield server


@pytest.fixture
def formance(capsys, monkeypatch) -> Callable[..., Ended]:
    """Return a function that runs `airflow formance ARGUMENTS`, answering questions with `stdin`."""
    parser = argparse.ArgumentParser("airflow")
    commands = parser.add_subparsers(required=True)
    for command in get_cli_commands()[0].subcommands:
        one = commands.add_parser(command.name, description=command.description)
        for arg in command.args:
            arg.add_to_parser(one)
        one.set_defaults(func=command.func)

    def run(*arguments: str, stdin: str = "") -> Ended:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        args = parser.parse_args(arguments)
        error = None
        capsys.readouterr()
        try:
            args.func(args)
        except SystemExit as ended:
            error = str(ended.code)
            assert "\n" not in error
        said = capsys.readouterr()
        return Ended(said.out, said.err, error)

    return run


@pytest.fixture
def decide(formance) -> Callable[..., Ended]:
    """Return a function that runs `adopt` or `forget` for the task `KEY`, with JSON as output."""

    def run(what: str, *arguments: str, key: Key = KEY, yes: bool = True, **more: Any) -> Ended:
        mapped = ("--map-index", str(key[3])) if key[3] >= 0 else ()
        ended = formance(what, *key[:3], *mapped, *(("--yes",) if yes else ()), "-o", "json", *arguments, **more)
        assert isinstance(ended, Ended)
        return ended

    return run


def raw_record(workflow_id: str, **fields: Any) -> dict[str, Any]:
    """A record as the state store has it; unknown unless told."""
    known = {
        "run_key": "/".join(KEY[:3]) + "@0123456789abcdef",
        "workflow_id": workflow_id,
        "digest": {"workflow": "aa"},
        "generation": 2,
        "phase": str(Phase.UNKNOWN),
        "intent_at": 1_700_000_000.0,
        "recoverable": True,
    }
    return {**known, **fields}


@pytest.fixture
def paying(flows) -> str:
    """A recoverable workflow that pays."""
    return str(flows.workflow(send(unique("payee"))).id)
