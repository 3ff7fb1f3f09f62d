"""What Airflow loads of the commands at every call of `airflow`."""

from __future__ import annotations

import json
import subprocess
import sys

from airflow_provider_orchestration.get_provider_info import get_provider_info


def test_the_provider_names_the_commands():
    assert get_provider_info()["cli"] == ["airflow_provider_orchestration.cli.get_cli_commands"]


def test_declaring_the_commands_loads_nothing_of_what_they_do():
    code = (
        "import airflow.cli.cli_config, json, sys\n"
        "before = set(sys.modules)\n"
        "from airflow_provider_orchestration.cli import get_cli_commands\n"
        "commands = get_cli_commands()\n"
        "print('\\n' + json.dumps([[c.name for c in commands[0].subcommands], sorted(set(sys.modules) - before)]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    names, loaded = json.loads(ran.stdout.splitlines()[-1])
    assert names == ["runs", "adopt", "forget"]
    # Where the package is installed, Airflow has loaded it by its entry point already.
    assert set(loaded) <= {"airflow_provider_orchestration", "airflow_provider_orchestration.cli"}
