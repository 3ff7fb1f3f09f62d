"""The connection test of Airflow's API server, which runs the hook in its own process."""

from __future__ import annotations

import pytest

from tests.support.airflow_runs import address
from tools.processes import free_port


def test_good_connection(airflow, emulator):
    good, said = airflow.api.test_connection("formance", **address(emulator))
    assert good, said
    assert "token and a read accepted" in said


def test_the_button_of_a_stored_connection(airflow, emulator):
    """It sends what the list shows, in which the secret is stars: Airflow's API server puts the stored one there."""
    host, _, port = emulator.url.rpartition(":")
    airflow.api.add_connection("formance_stored", "formance", **{**address(emulator), "host": host, "port": int(port)})
    shown = airflow.api.connection("formance_stored")
    assert (shown["host"], shown["port"], shown["password"]) == (host, int(port), "***")
    good, said = airflow.api.test_connection(**{name: value for name, value in shown.items() if value is not None})
    assert good, said
    assert "token and a read accepted" in said
    airflow.api.delete_connection("formance_stored")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"password": "not-the-secret"}, "there was no token"),
        ({"host": "127.0.0.1:9"}, "The address does not lead to Flows"),
        ({"host": ""}, "host"),
        ({"extra": '{"flows_path": "/nothing"}'}, "The address does not lead to Flows"),
        ({"extra": '{"scopes": "openid"}'}, "the client lacks the scope"),
        ({"extra": '{"read_timeout": "soon"}'}, "read_timeout"),
    ],
)
def test_each_failure_says_what_to_do(airflow, emulator, wrong, told):
    if wrong.get("host", "").endswith(":9"):
        wrong = {"host": f"http://127.0.0.1:{free_port()}"}
    good, said = airflow.api.test_connection("formance", **{**address(emulator), **wrong})
    assert not good
    assert told in said
    assert "not-the-secret" not in said


def test_a_client_that_may_only_read_passes(airflow, emulator):
    reader = {"login": "demo-reader", "password": "demo-reader"}
    good, said = airflow.api.test_connection("formance", **{**address(emulator), **reader})
    assert good, said
    assert "token and a read accepted" in said
