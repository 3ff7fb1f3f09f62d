"""
Every operation against a stack: the emulator, as each generation of server, or a real one of either, named by
FLOWS_URL, FLOWS_CLIENT_ID, FLOWS_CLIENT_SECRET. Where the two differ, both answers are known, and one of them is met.

FLOWS_VERIFY is a file or folder of certificates for a stack whose authority is not a public one.

On a real stack it keeps to itself: names of its own, it ends and deletes what it made, and other people's data may be
there. What it sends goes from `world` to an account of its own, a cent each time.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from airflow_provider_orchestration.api.client import FlowsClient
from airflow_provider_orchestration.api.models import Instance, Workflow
from airflow_provider_orchestration.api.paging import PAGE_SIZE
from airflow_provider_orchestration.api.session import ClientSettings
from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    FlowsApiError,
    InstanceEndedError,
    NotFoundError,
    RefusedInputError,
)

pytestmark = pytest.mark.contract

UNKNOWN = "00000000-0000-0000-0000-000000000000"
REAL_STACK = os.environ.get("FLOWS_URL", "").rstrip("/")


@pytest.fixture(scope="module", params=["real"] if REAL_STACK else ["2.6", "next"])
def stack(request) -> Iterator[tuple[str, str, str]]:
    """Address, client id and secret."""
    if REAL_STACK:
        yield REAL_STACK, os.environ["FLOWS_CLIENT_ID"], os.environ["FLOWS_CLIENT_SECRET"]
        return
    with EmulatorProcess("--time-scale", "0.1", server=request.param) as emulator:
        yield emulator.url, emulator.client_id, emulator.client_secret


@pytest.fixture(scope="module")
def settings(stack) -> ClientSettings:
    url, client_id, client_secret = stack
    return ClientSettings(
        base_url=f"{url}/api/orchestration",
        token_url=f"{url}/api/auth/oauth/token",
        client_id=client_id,
        client_secret=client_secret,
        verify=os.environ.get("FLOWS_VERIFY") or True,
        read_timeout=60.0,
        allow_http=True,
    )


@pytest.fixture(scope="module")
def client(settings) -> Iterator[FlowsClient]:
    with FlowsClient(settings) as found:
        yield found


@pytest.fixture
def ledger(settings) -> str:
    """The name of a ledger that is there. Without one a `send` would be tried for ever, and nothing could end it."""
    if REAL_STACK:
        credentials = {"client_id": settings.client_id, "client_secret": settings.client_secret}
        form = {"grant_type": "client_credentials", "scope": "openid ledger:read", **credentials}
        limits = {"timeout": 60, "verify": settings.verify}
        token = requests.post(settings.token_url, data=form, **limits).json().get("access_token", "")
        headers = {"Authorization": f"Bearer {token}"}
        status = requests.get(f"{REAL_STACK}/api/ledger/v2/default", headers=headers, **limits).status_code
        if status != 200:
            pytest.skip(f"the stack shows no ledger `default` (status {status})")
    return "default"


@pytest.fixture
def name() -> str:
    return f"contract-{uuid.uuid4().hex}"


@pytest.fixture
def make(client, name) -> Iterator[Callable[..., Workflow]]:
    """Create a workflow of these stages; it is deleted afterwards."""
    with contextlib.ExitStack() as cleanup:

        def create(*stages: dict[str, Any]) -> Workflow:
            workflow: Workflow = client.create_workflow({"name": name, "stages": list(stages)})
            cleanup.callback(delete, client, workflow.id)
            return workflow

        yield create


def delete(client: FlowsClient, workflow_id: str) -> bool:
    """Delete a workflow, which may be deleted already, and tell whether the server still knew it."""
    try:
        client.delete_workflow(workflow_id)
    except NotFoundError:
        return False
    return True


@pytest.fixture(scope="module")
def keeps_deleted(client) -> bool:
    """Whether the server knows deleted workflows: Flows 2.6 does, the next server does not."""
    workflow = client.create_workflow({"stages": [{"noop": {}}]})
    client.delete_workflow(workflow.id)
    return delete(client, workflow.id)


@pytest.fixture
def start(client) -> Iterator[Callable[..., Instance]]:
    """Run a workflow whose first stage waits for an event, until it listens; afterwards it gets that event for sure."""
    with contextlib.ExitStack() as cleanup:

        def run(workflow: Workflow, event: str, variables: dict[str, str]) -> Instance:
            instance: Instance = client.run_workflow(workflow.id, variables)
            cleanup.callback(let_go, client, instance.id, event)
            # An event that nothing waits for is taken, and lost, as soon as the stage listens.
            eventually(lambda: accepted(lambda: client.send_event(instance.id, "nothing waits for this")))
            return instance

        yield run


def let_go(client: FlowsClient, instance_id: str, event: str) -> None:
    """Send the event that an instance may still wait for, or begin to wait for."""
    with contextlib.suppress(InstanceEndedError):
        eventually(lambda: accepted(lambda: client.send_event(instance_id, event)))


@pytest.fixture
def waiting(start, make) -> Instance:
    """An instance whose first stage waits for `go`, and listens."""
    instance: Instance = start(make({"wait_event": {"event": "go"}}, {"noop": {}}), "go", {"who": "contract"})
    return instance


def eventually(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return what `look` answers as soon as it is true."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"not within {seconds} s"
        threading.Event().wait(0.05)


def accepted(call: Callable[[], object]) -> bool:
    """Tell whether a call that may come too early was accepted."""
    try:
        call()
    except NotFoundError:
        return False
    return True


def ended(client: FlowsClient, instance_id: str) -> Instance:
    """Return an instance when it has ended."""

    def look() -> Instance | None:
        instance = client.get_instance(instance_id)
        return instance if instance.terminated else None

    found: Instance = eventually(look)
    return found


def test_server_info(client):
    assert client.get_server_info().version
    assert client.orchestrationget_server_info() == client.get_server_info()


def test_clock(client):
    client.list_workflows()
    assert abs(client.server_now() - time.time()) < 600


@pytest.mark.parametrize("form", ["dict", "JSON", "YAML"])
def test_create_get_list_delete_workflow(form, client, name, keeps_deleted):
    stages = [{"wait_event": {"event": "on"}}, {"noop": {}}]
    forms = {
        "dict": {"name": name, "stages": stages},
        "JSON": json.dumps({"name": name, "stages": stages}),
        "YAML": f"name: {name}\nstages:\n- wait_event: {{event: on}}\n- noop: {{}}\n",
    }
    created = client.create_workflow(forms[form])
    try:
        assert (created.name, created.stages, created.deleted_at) == (name, stages, None)
        assert client.get_workflow(created.id).stages == stages
        assert [found.id for found in client.list_workflows() if found.name == name] == [created.id]
    finally:
        client.delete_workflow(created.id)
    assert delete(client, created.id) is keeps_deleted
    if keeps_deleted:
        assert client.get_workflow(created.id).deleted_at is not None
    else:
        with pytest.raises(NotFoundError):
            client.get_workflow(created.id)
    assert name not in {found.name for found in client.list_workflows()}


@pytest.mark.parametrize("definition", [{}, {"stages": None}, "{}"])
def test_a_definition_may_be_without_name_and_stages(definition, client):
    created = client.create_workflow(definition)
    client.delete_workflow(created.id)
    assert (created.name, created.stages, created.definition) == ("", [], {"name": "", "stages": None})


@pytest.mark.parametrize(
    "definition, statuses",
    [
        ({"stages": [{"no_such_stage": {}}]}, (500, 400)),
        ({"stages": [{"noop": {}, "delay": {"duration": "1s"}}]}, (500, 400)),
        ({"stages": [{"delay": {"duration": "abc"}}]}, (500, 400)),
        ({"name": 5, "stages": []}, (400, 400)),
        ({"stages": ["noop"]}, (400, 400)),
    ],
)
def test_definition_that_is_not_valid(definition, statuses, client, keeps_deleted):
    with pytest.raises(RefusedInputError) as caught:
        client.create_workflow(definition)
    assert caught.value.status_code == statuses[0 if keeps_deleted else 1]
    assert caught.value.error_code in ("INTERNAL", "VALIDATION")


@pytest.mark.parametrize("workflow_id", [UNKNOWN, "no-uuid"])
def test_unknown_workflow(workflow_id, client):
    for call in (client.get_workflow, client.run_workflow):
        with pytest.raises(NotFoundError) as caught:
            call(workflow_id)
        assert caught.value.workflow_id == workflow_id
    with pytest.raises(NotFoundError if workflow_id == UNKNOWN else RefusedInputError):
        client.delete_workflow(workflow_id)
    assert client.list_instances(workflow_id) == []


@pytest.mark.parametrize("instance_id", [UNKNOWN, "no-uuid"])
def test_unknown_instance(instance_id, client):
    calls: list[Callable[[], Any]] = [
        lambda: client.get_instance(instance_id),
        lambda: client.get_instance_history(instance_id),
        lambda: client.get_instance_stage_history(instance_id, 0),
        lambda: client.send_event(instance_id, "go"),
        lambda: client.cancel_event(instance_id),
    ]
    for call in calls:
        with pytest.raises(NotFoundError) as caught:
            call()
        assert caught.value.instance_id == instance_id


@pytest.mark.parametrize("trigger_id", [UNKNOWN, "no-uuid"])
def test_unknown_trigger(trigger_id, client):
    for call in (client.read_trigger, client.delete_trigger):
        with pytest.raises(NotFoundError) as caught:
            call(trigger_id)
        assert caught.value.trigger_id == trigger_id
    assert client.list_triggers_occurrences(trigger_id) == []


@pytest.mark.parametrize("wait", [None, True])
def test_run_to_its_end(wait, client, make):
    workflow = make({"noop": {}}, {"noop": {}})
    started = client.run_workflow(workflow.id, {"unused": "значение"}, wait=wait)
    assert started.workflow_id == workflow.id
    instance = ended(client, started.id)
    assert instance.error is None
    assert instance.workflow is not None
    assert instance.workflow.name == workflow.name
    assert [stage.stage for stage in instance.status] == [0, 1]
    assert all(stage.terminated_at and not stage.error for stage in instance.status)
    assert [stage.name for stage in client.get_instance_history(instance.id)] == ["RunNoop", "RunNoop"]
    assert client.get_instance_stage_history(instance.id, 1) == []
    with pytest.raises(NotFoundError):
        client.get_instance_stage_history(instance.id, 2)
    assert [found.id for found in client.list_instances(workflow.id)] == [instance.id]
    with pytest.raises(InstanceEndedError) as caught:
        client.send_event(instance.id, "go")
    assert caught.value.instance_id == instance.id


def test_deleted_workflow(client, make, keeps_deleted):
    workflow = make({"noop": {}})
    before = client.run_workflow(workflow.id).id
    client.delete_workflow(workflow.id)
    if keeps_deleted:
        instance = ended(client, client.run_workflow(workflow.id).id)
    else:
        with pytest.raises(NotFoundError):
            client.run_workflow(workflow.id)
        instance = ended(client, before)
    assert instance.workflow is not None
    assert instance.workflow.deleted_at is not None
    assert client.list_instances(workflow.id) == []


def test_events(client, waiting):
    running = client.get_instance(waiting.id)
    assert (running.terminated, len(running.status), running.status[0].terminated_at) == (False, 1, None)
    assert client.get_instance_history(waiting.id)[0].input == {"event": "go"}
    assert waiting.id in {found.id for found in client.list_instances(waiting.workflow_id, running=True)}
    client.send_event(waiting.id, "go")
    assert ended(client, waiting.id).error is None
    assert client.list_instances(waiting.workflow_id, running=True) == []
    assert waiting.id in {found.id for found in client.list_instances(running=False)}


def test_cancel_of_one_that_waits_for_an_event(client, waiting, keeps_deleted):
    """Accepted by both; Flows 2.6 goes on, the next server ends it when its event comes."""
    client.cancel_event(waiting.id)
    client.cancel_event(waiting.id)
    client.send_event(waiting.id, "another")
    assert not client.get_instance(waiting.id).terminated
    client.send_event(waiting.id, "go")
    instance = ended(client, waiting.id)
    assert (instance.error, len(instance.status)) == ((None, 2) if keeps_deleted else ("canceled", 1))
    assert instance.status[0].error is None


def test_cancel_of_a_delay(client, make, keeps_deleted):
    started = client.run_workflow(make({"delay": {"duration": "5s"}}, {"noop": {}}).id)
    eventually(lambda: client.get_instance(started.id).status)
    client.cancel_event(started.id)
    instance = ended(client, started.id)
    assert (instance.error, len(instance.status)) == ((None, 2) if keeps_deleted else ("canceled", 1))


def test_lists_are_whole(client, make, name):
    """More than any page holds: whichever server it is, nothing is cut, and nothing comes twice."""
    number = PAGE_SIZE + 5
    workflow = make({"wait_event": {"event": "go"}})
    ids = {client.run_workflow(workflow.id).id for _ in range(number)}
    try:
        for listed in (client.list_instances(workflow.id), client.list_instances(workflow.id, running=True)):
            assert sorted(one.id for one in listed) == sorted(ids)
        assert {one.id for one in client.iter_instances(workflow.id, running=True)} == ids
        assert workflow.id in {one.id for one in client.list_workflows()}
        assert workflow.id in {one.id for one in client.iter_workflows()}
    finally:
        for instance in ids:
            let_go(client, instance, "go")


def test_variables_are_filled_in(client, make, start):
    instance = start(make({"wait_event": {"event": "${event}"}}), "go-x", {"event": "go-x"})
    assert client.get_instance_history(instance.id)[0].input == {"event": "go-x"}
    client.send_event(instance.id, "go-x")
    assert ended(client, instance.id).error is None


def test_send_and_the_flows_trigger_that_sees_it(client, make, name, ledger):
    account = name.replace("-", ":")
    send = {
        "source": {"account": {"id": "world", "ledger": ledger}},
        "destination": {"account": {"id": account, "ledger": ledger}},
        "amount": {"amount": "${amount}", "asset": "EUR/2"},
        "metadata": {"by": "${by}"},
    }
    paying, following = make({"send": send}), make({"noop": {}})
    trigger = client.create_trigger(
        "COMMITTED_TRANSACTIONS",
        following.id,
        name=name,
        filter=f'event.transactions[0].postings[0].destination == "{account}"',
        vars={"ledger": "event.ledger"},
        version="v2",
    )
    try:
        instance = ended(client, client.run_workflow(paying.id, {"amount": "1", "by": name}).id)
        assert instance.error is None
        (step,) = client.get_instance_stage_history(instance.id, 0)
        assert (step.name, step.terminated, step.error, step.attempt) == ("CreateTransaction", True, None, 1)
        assert step.output is not None
        (transaction,) = step.output["CreateTransaction"]["data"]
        assert transaction["metadata"] == {"by": name}
        posting = {"source": "world", "destination": account, "amount": 1, "asset": "EUR/2"}
        assert transaction["postings"] == [posting]

        (occurrence,) = eventually(lambda: client.list_triggers_occurrences(trigger.id))
        assert (occurrence.trigger_id, occurrence.error) == (trigger.id, None)
        assert occurrence.event["payload"]["transactions"][0]["postings"] == [posting]
        assert occurrence.workflow_instance_id
        assert ended(client, occurrence.workflow_instance_id).workflow_id == following.id
    finally:
        client.delete_trigger(trigger.id)


def test_send_without_an_amount_fails(client, make, ledger):
    account = {"account": {"id": "world", "ledger": ledger}}
    amount = {"amount": "${amount}", "asset": "EUR/2"}
    workflow = make({"send": {"source": account, "destination": account, "amount": amount}})
    instance = ended(client, client.run_workflow(workflow.id).id)
    assert "no amount defined" in str(instance.error)
    assert instance.status[0].error == instance.error
    assert client.get_instance_stage_history(instance.id, 0)[0].error == "no amount defined"


def test_triggers(client, make, name):
    workflow = make({"noop": {}})
    event = f"NEVER_{name}"
    trigger = client.create_trigger(event, workflow.id, name=name, filter="true", vars={"a": "event.a"}, version="v9")
    try:
        read = client.read_trigger(trigger.id)
        assert (read.event, read.workflow_id, read.name, read.version) == (event, workflow.id, name, "v9")
        assert (read.filter, read.vars) == ("true", {"a": "event.a"})
        assert [found.id for found in client.list_triggers(name)] == [trigger.id]
        assert trigger.id in {found.id for found in client.iter_triggers()}
        assert client.list_triggers(f"{name} that nobody has") == []
        assert client.list_triggers_occurrences(trigger.id) == []
    finally:
        client.delete_trigger(trigger.id)
    for call in (client.delete_trigger, client.read_trigger):
        with pytest.raises(NotFoundError):
            call(trigger.id)


def test_trigger_that_is_refused(client, make):
    workflow = make({"noop": {}})
    for wrong in ({"filter": "((("}, {"vars": {"a": "((("}}):
        with pytest.raises(RefusedInputError) as caught:
            client.create_trigger("NEVER", workflow.id, **wrong)
        assert (caught.value.status_code, caught.value.error_code) == (400, "VALIDATION")
    with pytest.raises(NotFoundError):
        client.create_trigger("NEVER", UNKNOWN)


def test_wrong_secret(settings):
    with FlowsClient(replace(settings, client_secret="wrong")) as client:
        assert client.get_server_info().version
        with pytest.raises(AuthenticationError, match="token endpoint"):
            client.list_workflows()


def test_a_client_that_asks_for_reading_only_may_not_write(settings):
    with FlowsClient(replace(settings, scopes="openid orchestration:read")) as client:
        client.list_workflows()
        writes: list[Callable[[], Any]] = [
            lambda: client.create_workflow({"stages": []}),
            lambda: client.run_workflow(UNKNOWN),
            lambda: client.send_event(UNKNOWN, "go"),
            lambda: client.cancel_event(UNKNOWN),
        ]
        for write in writes:
            with pytest.raises(AuthenticationError, match="orchestration:write") as caught:
                write()
            assert caught.value.status_code == 401


def test_scopes_must_be_asked_for(settings):
    with (
        FlowsClient(replace(settings, scopes="openid")) as client,
        pytest.raises(AuthenticationError, match="orchestration:read"),
    ):
        client.list_workflows()


def test_without_a_token(settings):
    with FlowsClient(replace(settings, token_url=None)) as client, pytest.raises(FlowsApiError) as caught:
        client.list_triggers()
    assert type(caught.value) is AuthenticationError
