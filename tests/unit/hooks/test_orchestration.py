"""The hook: its operations, its client, its secrets, and the connection test."""

from __future__ import annotations

import inspect
import logging
import uuid

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_orchestration.api.client import FlowsClient
from airflow_provider_orchestration.api.operations import OPERATIONS
from airflow_provider_orchestration.exceptions import ConnectionConfigError, NotFoundError
from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from tests.support.scripted_server import Answer, ScriptedServer, html, port_that_refuses

ROUND_TRIP = {"name": "hook", "stages": [{"noop": {}}]}


@pytest.mark.parametrize("name", [operation.name for operation in OPERATIONS] + ["get_server_info"])
def test_an_operation_of_the_hook_is_that_of_the_client(name):
    ours = inspect.signature(getattr(OrchestrationHook, name)).parameters
    theirs = inspect.signature(getattr(FlowsClient, name)).parameters
    limits = {"retries", "timeout"}
    assert list(ours) == [one for one in theirs if one not in limits] + ["limits"]
    for one in set(ours) - {"limits"}:
        assert (ours[one].default, ours[one].kind) == (theirs[one].default, theirs[one].kind)
    assert {theirs[one].kind for one in limits} == {inspect.Parameter.KEYWORD_ONLY}


def test_operations_reach_the_stack(stack, emulator):
    hook = OrchestrationHook(stack)
    assert hook.get_server_info() == hook.orchestrationget_server_info(retries=0)
    workflow = hook.create_workflow(ROUND_TRIP)
    assert hook.get_workflow(workflow.id).name == "hook"
    assert workflow.id in {found.id for found in hook.list_workflows(timeout=5)}
    instance = hook.run_workflow(workflow.id, {"a": "b"})
    assert hook.get_instance(instance.id).workflow_id == workflow.id
    assert instance.id in {found.id for found in hook.list_instances(workflow.id)}
    hook.cancel_event(instance.id)
    trigger = hook.create_trigger("E", workflow.id, name="hook", vars={"a": "event.a"})
    assert hook.read_trigger(trigger.id) == trigger
    assert [found.id for found in hook.list_triggers("hook")] == [trigger.id]
    assert hook.list_triggers_occurrences(trigger.id) == []
    hook.delete_trigger(trigger.id)
    with pytest.raises(NotFoundError):
        hook.read_trigger(trigger.id)
    with pytest.raises(NotFoundError):
        hook.get_instance_history("unknown")
    with pytest.raises(NotFoundError):
        hook.get_instance_stage_history("unknown", 0)
    with pytest.raises(NotFoundError):
        hook.send_event("unknown", "go")
    hook.delete_workflow(workflow.id)
    asked = emulator.counters()["requests"]
    assert {operation.name for operation in OPERATIONS} <= set(asked)


def test_the_client_is_kept(stack):
    hook = OrchestrationHook(stack)
    assert hook.get_conn() is hook.get_conn()


def test_default_connection(airflow_connection, emulator):
    airflow_connection("formance_default", host=emulator.url)
    assert OrchestrationHook().get_conn().settings.base_url == f"{emulator.url}/api/orchestration"


def test_unknown_connection():
    with pytest.raises(AirflowNotFoundException, match="no_such_connection"):
        OrchestrationHook("no_such_connection").get_conn()


def test_wrong_connection(airflow_connection):
    with pytest.raises(ConnectionConfigError, match="host is empty"):
        OrchestrationHook(airflow_connection()).get_conn()


def test_making_a_hook_reads_nothing():
    assert OrchestrationHook("no_such_connection").formance_conn_id == "no_such_connection"


def test_secrets_are_masked(stack, airflow_connection, emulator, monkeypatch):
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    from airflow_provider_orchestration.hooks import orchestration

    # Tests before this one may have had the first tokens of this process.
    monkeypatch.setattr(orchestration, "_tokens", orchestration._Masked(20))
    proxied = airflow_connection(host=emulator.url, extra={"proxy": "http://u:p%40ss-w0rd@127.0.0.1:1"})
    OrchestrationHook(proxied).get_conn()
    with ScriptedServer(Answer(200, {"data": []})) as server:
        own = airflow_connection(
            host=server.url,
            login=uuid.uuid4().hex,
            password="cl1ent-s3cret",
            extra={"flows_path": "/", "auth_url": server.token_url},
        )
        OrchestrationHook(own).list_triggers()
        token = server.api_requests[0].headers["Authorization"].removeprefix("Bearer ")
    assert token.startswith("token-1-")
    shown = _secrets_masker().redact(f"a {token} b p@ss-w0rd c cl1ent-s3cret d")
    assert shown == "a *** b *** c *** d"


def test_a_process_masks_a_bounded_number_of_tokens(monkeypatch):
    """Airflow's masker never forgets: after a month of one an hour it would have 1.9 GB."""
    from airflow.sdk import log

    from airflow_provider_orchestration.hooks import orchestration

    masked: list[str] = []
    monkeypatch.setattr(log, "mask_secret", masked.append)
    tokens = orchestration._Masked(20)
    for number in range(1000):
        tokens.mask(f"token-{number // 2}")
    assert masked == [f"token-{number}" for number in range(20)], "each once"


# --- the connection test


def try_out(airflow_connection, **fields) -> tuple[bool, str]:
    return OrchestrationHook(airflow_connection(**fields)).test_connection()


def test_good_connection(stack):
    works, said = OrchestrationHook(stack).test_connection()
    assert works, said
    assert "token and a read accepted; whether it may write was not tried" in said


def test_good_connection_without_authentication(airflow_connection):
    with ScriptedServer(Answer(200, {"version": "v2"}), Answer(200, {"data": []})) as server:
        works, said = try_out(airflow_connection, host=server.url, extra={"flows_path": "/"})
        assert works, said
        assert "Flows v2" in said
        assert "without authentication" in said
        assert [request.path for request in server.requests] == ["/_info", "/triggers?pageSize=1"]


def test_wrong_field(airflow_connection):
    works, said = try_out(airflow_connection, host="https://stack", extra={"verify": "perhaps"})
    assert not works
    assert "verify is 'perhaps'" in said


def test_unknown_connection_is_no_exception():
    works, said = OrchestrationHook("no_such_connection").test_connection()
    assert not works
    assert "no_such_connection" in said


def test_address_where_nobody_listens(airflow_connection):
    with port_that_refuses() as port:
        works, said = try_out(airflow_connection, host=f"http://127.0.0.1:{port}", login="me", password="x")
    assert not works
    assert "The address does not lead to Flows" in said
    assert "nothing listens there" in said


@pytest.mark.parametrize("answer", [html(200), html(404), Answer(302, headers={"Location": "/login"}), Answer(200, [])])
def test_address_of_something_else(answer, airflow_connection):
    with ScriptedServer(answer) as server:
        works, said = try_out(airflow_connection, host=server.url, login="me", password="x")
        assert not works
        assert "something else than Flows answers there" in said
        assert "flows_path" in said
        assert server.tokens_given == 0


def test_address_of_a_server_that_hangs_up(airflow_connection):
    with ScriptedServer(Answer(how="reset")) as server:
        works, said = try_out(airflow_connection, host=server.url)
        assert not works
        assert "try again later" in said


def test_wrong_secret(airflow_connection, emulator, caplog):
    caplog.set_level(logging.DEBUG)
    works, said = try_out(airflow_connection, host=emulator.url, login=emulator.client_id, password="wr0ng-secret")
    assert not works
    assert "there was no token" in said
    assert "look at client id and secret" in said
    assert "wr0ng-secret" not in said + caplog.text


def test_wrong_authentication_address(airflow_connection, emulator):
    works, said = try_out(
        airflow_connection,
        host=emulator.url,
        login=emulator.client_id,
        password=emulator.client_secret,
        extra={"auth_url": f"{emulator.url}/nowhere"},
    )
    assert not works
    assert "there was no token" in said
    assert "right address" in said


def test_scope_missing(airflow_connection, emulator):
    works, said = try_out(
        airflow_connection,
        host=emulator.url,
        login=emulator.client_id,
        password=emulator.client_secret,
        extra={"scopes": "openid"},
    )
    assert not works
    assert "lacks the scope orchestration:read" in said


def test_authentication_missing(airflow_connection, emulator):
    works, said = try_out(airflow_connection, host=emulator.url)
    assert not works
    assert "wants authentication" in said


def test_read_that_fails(airflow_connection):
    with ScriptedServer(Answer(200, {"version": "v2"}), html(200)) as server:
        works, said = try_out(airflow_connection, host=server.url)
        assert not works
        assert "Flows could not be read" in said


def test_good_for_a_client_that_may_only_read(airflow_connection, emulator):
    works, said = try_out(airflow_connection, host=emulator.url, login="demo-reader", password="demo-reader")
    assert works, said


def test_as_airflow_calls_it(airflow_connection, emulator, monkeypatch):
    """The API server does this, with an id made up for the test."""
    from airflow.models.connection import Connection

    conn = Connection(
        conn_id="transient", conn_type="formance", host=emulator.url, login=emulator.client_id,
        password=emulator.client_secret, extra={"read_timeout": 5},
    )  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_TRANSIENT", conn.get_uri())
    assert OrchestrationHook(formance_conn_id="transient").test_connection()[0]
