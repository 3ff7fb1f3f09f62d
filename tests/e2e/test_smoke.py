"""The Airflow of the tests works: a plain DAG runs, with a task in the worker and one in the triggerer."""

from __future__ import annotations


def test_a_plain_dag_runs(start_dag):
    run = start_dag("plain", {"amount": "100"})
    assert run.wait() == "success"
    assert run.states == {"greet": "success", "wait": "success"}
    assert run.xcom("greet") == {"conf": {"amount": "100"}}
    assert "hello from greet" in run.log("greet")
    assert run.xcom("wait") == "resumed"
    assert "trigger starting" in run.log("wait")


def test_a_connection_lies_in_the_database(airflow):
    shown = airflow.airflow("connections", "get", "formance_default", "--output", "json")
    assert shown.returncode == 0, shown.stderr
    assert '"conn_type": "formance"' in shown.stdout
    assert not [key for key in airflow.env if key.startswith("AIRFLOW_CONN_")]


def test_a_killed_triggerer_is_replaced(airflow, start_dag):
    airflow.kill("triggerer")
    airflow.restart("triggerer")
    run = start_dag("plain")
    assert run.wait() == "success"
