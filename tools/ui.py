"""`make ui`: a real Airflow with the example DAGs and yours, the connection and the emulator, until Ctrl-C."""

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
            f"Airflow   [bold cyan]{playground.airflow.url}[/]   no login, everybody is admin",
            f"Flows     {playground.emulator.url}   the emulator, connection {CONNECTION}",
            f"DAGs      {', '.join(map(str, playground.folders))}",
            f"Commands  . {playground.airflow.write_shell_settings()}",
            "          makes `airflow ...` of another shell speak to this Airflow",
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
