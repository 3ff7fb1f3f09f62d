"""The driver of the Airflow that tests and demo use: what breaks is told, and nothing stays."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools.airflow_stack import ROOT, AirflowStack
from tools.processes import ProcessError, free_port, marked

DAGS = Path(__file__).parent / "dags"


def test_a_component_that_dies_at_the_start_is_told_with_its_log():
    stack = AirflowStack([DAGS], env={"AIRFLOW__CORE__EXECUTOR": "no.such.Executor"})
    with (
        pytest.raises(ProcessError, match=r"(?s)scheduler ended with exit code 1\. The end of its log:.*no.such"),
        stack,
    ):
        pytest.fail("it started")
    assert not stack.home.exists()
    assert marked(stack.home) == []


def test_a_taken_port_is_told_before_anything_starts():
    port = free_port()
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        server.listen()
        with pytest.raises(ProcessError, match=f"^port {port} is taken"), AirflowStack([DAGS], port=port):
            pytest.fail("it started")


def test_a_database_that_cannot_be_reached_is_told():
    missing = f"postgresql+psycopg2://nobody@127.0.0.1:{free_port()}/none"
    with pytest.raises(ProcessError, match=r"(?s)airflow db migrate failed.*Connection refused"):
        AirflowStack([DAGS], sql_alchemy_conn=missing).__enter__()


def test_the_demo_tells_its_story_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "tools.demo"]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "COLUMNS": "120"}
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=290, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for told in (
        "✓ Starting Airflow: api-server, scheduler, dag-processor, triggerer",
        "Airflow  task pay is success",
        "stage 2/3 wait_event 'approved': waiting",
        "stage 3/3 send: done",
        "✓ Running the DAG payout_with_approval again, and losing the answer to its submission",
        "✓ Ending all processes",
        "XCom return_value of the task pay",
        '"state": "succeeded"',
        "Instances that were started: 1.",
        "taken over: instance",
    ):
        assert told in ran.stdout
    assert ran.stderr == ""
    left = [path for path in tmp_path.iterdir() if path.name.startswith("airflow-")]
    assert left == []


@pytest.mark.e2e
def test_another_shell_speaks_to_it(airflow, tmp_path):
    script = f". {airflow.write_shell_settings()} && airflow config get-value api base_url && echo $AIRFLOW_HOME"
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    ran = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout.split() == [airflow.url, f"{airflow.home}/shell"], ran.stderr
