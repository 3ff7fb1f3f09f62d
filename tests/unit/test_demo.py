"""What the demo makes of amounts, results and a wrong port; its whole story is told in tests/e2e/test_stack.py."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.demo import amount, as_lines

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "units, asset, shown",
    [
        (0, "EUR/2", "0.00"),
        (-1000, "EUR/2", "-10.00"),
        (5, "EUR/2", "0.05"),
        (-5, "EUR/2", "-0.05"),
        (7, "JPY", "7"),
        (9_007_199_254_740_993, "BTC/8", "90071992.54740993"),
    ],
)
def test_amounts_keep_every_digit(units, asset, shown):
    assert amount(units, asset) == shown


@given(
    st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | st.lists(st.dictionaries(st.text(), st.text())))
)
def test_a_result_is_shown_as_the_json_that_it_is(result):
    assert json.loads(as_lines(result)) == result


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "taken"])
def test_a_port_that_cannot_be_had_is_one_line(port):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        wished = str(server.getsockname()[1]) if port == "taken" else port
        ran = subprocess.run(
            [sys.executable, "-m", "tools.ui"],
            cwd=ROOT,
            env=os.environ | {"AIRFLOW_PORT": wished},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith("error: ")
    assert wished in ran.stderr


def test_a_folder_of_dags_that_is_not_there_is_one_line(tmp_path):
    env = os.environ | {"DAGS": str(tmp_path / "none")}
    command = [sys.executable, "-m", "tools.ui"]
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"error: DAGS is '{tmp_path}/none', where no folder is")
