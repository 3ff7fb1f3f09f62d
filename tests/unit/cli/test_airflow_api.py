"""How the commands reach Airflow's API, and what they say where they cannot."""

from __future__ import annotations

import getpass

import pytest

from airflow_provider_orchestration.cli.airflow_api import AirflowApi
from tests.support.flows import unique, wait_event
from tests.support.scripted_server import port_that_refuses
from tests.unit.cli.conftest import KEY, raw_record

TASK = f"/api/v2/dags/{KEY[0]}/dagRuns/manual__2026-11-23T18%3A00%3A00%2B00%3A00/taskInstances/{KEY[2]}/-1"


@pytest.fixture
def adopt(airflow_rest, flows, decide):
    """Return a function that adopts an instance of the workflow of `KEY`."""
    workflow = flows.workflow(wait_event(unique("go"))).id
    instance = flows.client.run_workflow(workflow).id
    airflow_rest.add_task(KEY, raw_record(workflow))
    return lambda *arguments: decide("adopt", "--instance-id", instance, *arguments)


def who(ended) -> str:
    return str(ended.json["record"]["decisions"][0]["who"])


def test_with_a_token_of_the_command_line(adopt, airflow_rest, monkeypatch):
    monkeypatch.setenv("AIRFLOW_API_TOKEN", "another")
    assert who(adopt("--token", airflow_rest.token)) == "ann"


def test_with_a_user_and_a_password(adopt, monkeypatch):
    monkeypatch.delenv("AIRFLOW_API_TOKEN")
    monkeypatch.setenv("AIRFLOW_API_PASSWORD", "secret of ann")
    assert who(adopt("--username", "ann")) == "ann"
    assert "does not accept the token or password (Invalid credentials)" in adopt("--username", "bob").error


def test_without_credentials_where_airflow_wants_none(adopt, airflow_rest, monkeypatch):
    monkeypatch.delenv("AIRFLOW_API_TOKEN")
    airflow_rest.odd["GET", "/auth/token"] = (201, {"access_token": airflow_rest.token})
    # Everybody is called the same there: the name of the operating system says more.
    assert who(adopt()) == getpass.getuser()


def test_without_credentials(adopt, airflow_rest, monkeypatch):
    monkeypatch.delenv("AIRFLOW_API_TOKEN")
    assert "who you are: give a token in AIRFLOW_API_TOKEN, or --username" in adopt().error
    assert airflow_rest.writes == []


def test_who_where_airflow_does_not_tell(adopt, airflow_rest):
    airflow_rest.user = None
    assert who(adopt()) == getpass.getuser()


def test_a_login_of_a_netrc_file_is_not_sent(adopt, airflow_rest, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login x password y")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert adopt().json["written"] is True


def test_the_address_of_the_command_line(adopt, airflow_rest, monkeypatch):
    with port_that_refuses() as port:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"http://127.0.0.1:{port}")
        assert f"cannot be reached at http://127.0.0.1:{port}: set [api] base_url, or give --api-url" in adopt().error
    assert adopt("--api-url", f"{airflow_rest.url}/").json["written"] is True


@pytest.mark.parametrize(
    "answer, said",
    [
        ((401, {"detail": "Invalid JWT"}), "does not accept the token or password (Invalid JWT)"),
        ((403, {"detail": "Forbidden"}), "does not allow you to GET"),
        ((404, {"detail": "The Task Instance was not found"}), "answered 404 to GET"),
        ((302, None), "answered 302"),
        ((200, b"<html>"), "does not answer as Airflow's API does; give --api-url"),
        ((200, {"task": 1}), "answers otherwise than expected, 3.3 or later is needed"),
        ((500, b"oops"), "answered 500 to GET"),
    ],
)
def test_odd_answers(adopt, airflow_rest, answer, said):
    airflow_rest.odd["GET", TASK] = answer
    assert said in adopt().error
    assert airflow_rest.writes == []


def test_a_refused_write(adopt, airflow_rest):
    path = TASK.removesuffix("/-1") + "/state-store/formance_run"
    airflow_rest.odd["PUT", path] = (422, {"detail": [{"msg": "value exceeds max_value_storage_bytes (65535)"}]})
    assert "answered 422" in adopt().error
    assert "value exceeds max_value_storage_bytes (65535)" in adopt().error


def test_a_write_that_is_not_kept(adopt, airflow_rest):
    path = TASK.removesuffix("/-1") + "/state-store/formance_run"
    airflow_rest.odd["PUT", path] = (204, None)
    assert "was written, but something else stands there now" in adopt().error


def test_a_connection_that_is_not_there(adopt):
    assert "The conn_id `nowhere` isn't defined" in adopt("--conn-id", "nowhere").error


def test_tasks_of_all_pages(airflow_rest):
    class Given:
        api_url, token, username = airflow_rest.url, airflow_rest.token, None

    for number in range(5):
        airflow_rest.add_task(("dag", "run", "pay", number))
    found = AirflowApi.connect(Given()).tasks(None, None, ["RunWorkflowOperator"], None)
    assert [task.map_index for task in found] == [0, 1, 2, 3, 4]
    assert "updated_at_gte" not in airflow_rest.queries[0]


def test_a_mapped_task_without_its_index(airflow_rest, decide):
    airflow_rest.add_task((*KEY[:3], 4), raw_record("w"))
    assert decide("forget").error.endswith("(a mapped task needs --map-index)")
