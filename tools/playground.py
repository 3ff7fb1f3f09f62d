"""Emulator and Airflow side by side, with the example DAGs and the connection in place, for `demo` and `ui`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from airflow_provider_orchestration.exceptions import FormanceError
from tools.airflow_api import AirflowApiError, WaitError
from tools.airflow_stack import ROOT, AirflowStack
from tools.processes import MARKER, ProcessError, sigterm_as_exit
from tools.steps import Steps

CONNECTION = "formance_default"


@dataclass(frozen=True)
class Playground:
    """What runs."""

    emulator: EmulatorProcess
    airflow: AirflowStack
    #: Where the DAGs lie.
    folders: list[Path]


class PlaygroundError(Exception):
    """Something could not be done; the text is for a person."""


@contextlib.contextmanager
def open_playground(steps: Steps) -> Iterator[Playground]:
    """Start everything, telling each step, and end everything when the block is left, however it is left."""
    port = _wished_port()
    folders = [Path("example_dags"), *_own_folders()]
    with contextlib.ExitStack() as closing:
        airflow = closing.enter_context(AirflowStack([ROOT / folder for folder in folders], port=port, say=steps.begin))
        steps.begin("Starting the Flows emulator")
        # Marked as one of this Airflow's processes, it is ended with them where we are killed.
        os.environ[MARKER] = str(airflow.home)
        emulator = closing.enter_context(EmulatorProcess())
        steps.begin(f"Adding the connection {CONNECTION} to Airflow's database")
        host, _, own_port = emulator.url.rpartition(":")
        airflow.api.add_connection(
            CONNECTION,
            "formance",
            host=host,
            port=int(own_port),
            login=emulator.client_id,
            password=emulator.client_secret,
        )
        yield Playground(emulator, airflow, folders)
        steps.begin("Ending all processes")


def run_main(main: Callable[[Console], None]) -> None:
    """Run a program for a person: exit code 0, or 1 after a line that says why not, or 130 after Ctrl-C."""
    console = Console()
    errors = Console(stderr=True)
    try:
        with sigterm_as_exit():
            main(console)
    except KeyboardInterrupt:
        errors.print("Interrupted; every process was ended.")
        sys.exit(130)
    except (PlaygroundError, ProcessError, AirflowApiError, WaitError, FormanceError) as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


def _own_folders() -> list[Path]:
    text = os.environ.get("DAGS", "")
    if not text:
        return []
    if not Path(text).is_dir():
        raise PlaygroundError(f"DAGS is {text!r}, where no folder is: give the one in which your DAGs lie")
    return [Path(text)]


def _wished_port() -> int | None:
    text = os.environ.get("AIRFLOW_PORT", "")
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise PlaygroundError(f"AIRFLOW_PORT is {text!r}: give a number from 1 to 65535, or nothing for a free port")
    return int(text)
