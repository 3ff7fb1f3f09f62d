"""`make ui`: a real Airflow with the example DAGs, the connection and the emulator, until Ctrl-C."""

from __future__ import annotations

import contextlib
import threading

from rich.console import Console
from rich.panel import Panel

from tools.playground import CONNECTION, open_playground, run_main
from tools.steps import Steps


def main(console: Console) -> None:
    """Start everything, print the address, and wait for Ctrl-C."""
    with Steps(console) as steps, open_playground(steps) as playground:
        steps.begin("Ready")
        lines = [
            f"Airflow   [bold cyan]{playground.airflow.url}[/]   no login: everybody is an administrator here",
            f"Flows     {playground.emulator.url}   the emulator; Airflow's connection to it: {CONNECTION}",
            "",
            "Open a DAG, press Trigger, and look at the logs of its tasks. Ctrl-C ends everything.",
        ]
        console.print(Panel("\n".join(lines), title="Airflow with Formance Flows"))
        steps.begin("Running until Ctrl-C")
        never = threading.Event()
        with contextlib.suppress(KeyboardInterrupt):
            while not never.wait(2):
                playground.airflow.check()


if __name__ == "__main__":
    run_main(main)
