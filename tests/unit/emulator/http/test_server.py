"""The emulator as a process: options, tokens, control routes, faults, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from tests.support.certificates import self_signed
from tests.unit.emulator.conftest import Flows, send

WAIT = {"wait_event": {"event": "go"}}
NOOP: dict[str, Any] = {"noop": {}}


def test_it_starts_quickly_and_ends_cleanly():
    began = time.monotonic()
    emulator = EmulatorProcess().start()
    try:
        assert time.monotonic() - began < 5
        assert Flows(emulator).ask("GET", "/workflows").status_code == 200
    finally:
        assert emulator.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_also_while_requests_hang(number):
    with EmulatorProcess() as emulator, ThreadPoolExecutor(2) as pool:
        flows = Flows(emulator)
        workflow = flows.workflow(WAIT)
        emulator.fault("*", "worker_down")
        emulator.fault("list_workflows", "hang_after")
        hanging = [
            pool.submit(flows.ask, "POST", f"/workflows/{workflow}/instances", {}),
            pool.submit(Flows(emulator).ask, "GET", "/workflows"),
        ]
        wait_for(lambda: set(emulator.counters()["requests"]) >= {"run_workflow", "list_workflows"})
        began = time.monotonic()
        os.kill(emulator.pid, number)
        assert emulator.wait(10) == 0
        assert time.monotonic() - began < 5
        for request in hanging:
            assert isinstance(request.exception(10), requests.ConnectionError)


def test_a_taken_port_is_one_clear_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError) as raised:
            EmulatorProcess(port=port).start()
    assert f"cannot listen at 127.0.0.1 port {port}" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "options, message",
    [
        (["--time-scale", "0"], "must be greater than 0"),
        (["--tls-cert", "x"], "belong together"),
        (["--tls-cert", "nowhere.pem", "--tls-key", "nowhere.pem"], "cannot use the certificate"),
        (["--db", "/nowhere/at/all.db"], "cannot use --db /nowhere/at/all.db"),
    ],
)
def test_options_that_make_no_sense(options, message):
    command = [sys.executable, "-m", "airflow_provider_orchestration.emulator", "--port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_it_needs_no_airflow():
    code = (
        "import sys, airflow_provider_orchestration.emulator.__main__ as emulator; "
        "assert not {'airflow', 'requests', 'authlib', 'pendulum'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_tls(tmp_path):
    pem = self_signed(tmp_path)
    with EmulatorProcess("--tls-cert", pem, "--tls-key", pem) as emulator:
        assert emulator.url.startswith("https://")
        flows = Flows(emulator, verify=str(pem))
        assert flows.data("GET", "/workflows") == []
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(emulator.flows_url + "/_info", timeout=10)
        emulator.fault("list_workflows", "reset_before")
        with pytest.raises(requests.ConnectionError):
            flows.ask("GET", "/workflows")


def test_a_stack_without_authentication():
    with EmulatorProcess("--no-auth") as emulator:
        assert (emulator.client_id, emulator.client_secret) == ("", "")
        flows = Flows(emulator)
        flows.run(flows.workflow(NOOP))
        assert flows.session.post(emulator.token_url, data={"grant_type": "client_credentials"}).status_code == 404


def test_tokens_end():
    with EmulatorProcess("--token-seconds", "0.3") as emulator:
        flows = Flows(emulator)
        assert flows.ask("GET", "/workflows").status_code == 200
        wait_for(lambda: flows.ask("GET", "/workflows").status_code == 401)
        answer = flows.ask("GET", "/workflows")
        assert answer.content == b""
        assert "Content-Type" not in answer.headers


@pytest.mark.parametrize("body", [True, False], ids=["in the body", "by HTTP Basic"])
@pytest.mark.parametrize(
    "change, status, answer",
    [
        ({}, 200, None),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
    ],
)
def test_asking_for_a_token(emulator, body, change, status, answer):
    form = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": "demo-secret", **change}
    auth = None if body else (form.pop("client_id"), form.pop("client_secret"))
    got = requests.post(emulator.token_url, data=form, auth=auth, timeout=10)
    assert got.status_code == status
    assert got.json().get("error") == answer
    if status == 200:
        assert set(got.json()) == {"access_token", "token_type", "expires_in"}
        assert (got.json()["token_type"], got.json()["expires_in"]) == ("Bearer", 3599)
        assert got.json()["access_token"].count(".") == 2


@pytest.mark.parametrize(
    "client, scope, reads, writes",
    [
        ("demo", "openid orchestration:read orchestration:write", 200, 500),
        ("demo", "orchestration:write", 200, 500),
        ("demo", "orchestration:read", 200, 401),
        ("demo", "", 401, 401),
        ("demo", "something:else", 401, 401),
        ("demo-reader", "openid orchestration:read orchestration:write", 200, 401),
    ],
)
def test_what_a_token_allows(emulator, client, scope, reads, writes):
    form = {"grant_type": "client_credentials", "scope": scope}
    auth = (client, emulator.client_secret if client == emulator.client_id else client)
    token = requests.post(emulator.token_url, data=form, auth=auth, timeout=10).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert requests.get(emulator.flows_url + "/workflows", headers=headers, timeout=10).status_code == reads
    url = emulator.flows_url + "/workflows/nobody/instances"
    assert requests.post(url, headers=headers, timeout=10).status_code == writes


def test_a_changed_token_is_worth_nothing(flows):
    flows.session.headers["Authorization"] = str(flows.session.headers["Authorization"])[:-2] + "xx"
    assert flows.ask("GET", "/workflows").status_code == 401


@pytest.mark.parametrize(
    "method, path, status, body",
    [
        ("GET", "/nope", 404, "404 page not found\n"),
        ("GET", "/instances/x/nope", 404, "404 page not found\n"),
        ("GET", "/instances/x/history/", 404, "404 page not found\n"),
        ("GET", "/workflows/", 200, None),
        ("GET", "/triggers/x/", 404, None),
        ("PUT", "/workflows", 405, ""),
        ("DELETE", "/workflows/", 405, ""),
        ("HEAD", "/workflows", 405, ""),
        ("GET", "/workflows/x/instances", 405, ""),
        ("GET", "/instances/x/stages/99999999999999999999/history", 404, ""),
        pytest.param("GET", f"/instances/x/stages/{'9' * 5000}/history", 404, "", id="a stage of 5000 digits"),
        ("GET", "/instances/x/stages/-1/history", 404, None),
        ("GET", "/instances/x%2Fy", 500, None),
    ],
)
def test_odd_paths(flows, method, path, status, body):
    answer = flows.ask(method, path)
    assert answer.status_code == status
    if body is not None:
        assert answer.text == body


def test_the_token_is_looked_at_before_the_path(emulator):
    assert requests.get(emulator.flows_url + "/workflows/x/y/z", timeout=10).status_code == 401
    assert requests.get(emulator.flows_url + "/nope", timeout=10).status_code == 404
    assert requests.get(emulator.flows_url + "/_info", timeout=10).json() == {"version": "develop"}
    assert requests.get(emulator.url + "/elsewhere", timeout=10).status_code == 404


def test_counters(emulator):
    flows = Flows(emulator)
    assert emulator.counters()["instances"] == 0
    flows.run(flows.workflow(NOOP))
    flows.ask("GET", "/workflows")
    flows.ask("GET", "/workflows")
    counters = emulator.counters()
    assert counters["requests"] == {"create_workflow": 1, "run_workflow": 1, "list_workflows": 2}
    assert (counters["tokens"], counters["connections"], counters["instances"]) == (1, 1, 1)
    emulator.reset_counters()
    assert emulator.counters() == {"requests": {}, "tokens": 0, "connections": 0, "instances": 0}
    flows.run(flows.workflow(NOOP))
    assert emulator.counters()["instances"] == 1


def test_a_second_connection_is_counted(emulator):
    flows = Flows(emulator)
    flows.session.close()
    flows.ask("GET", "/workflows")
    assert emulator.counters()["connections"] == 2


def test_reset_forgets_everything():
    with EmulatorProcess("--time-scale", "0.1") as emulator:
        flows = Flows(emulator)
        flows.run(flows.workflow(send()))
        wait_for(emulator.transactions)
        emulator.fault("*", "worker_down")
        emulator.reset_counters()
        emulator.reset()
        assert flows.ask("GET", "/workflows").status_code == 401
        flows.log_in()
        assert flows.data("GET", "/workflows") == flows.data("GET", "/instances") == []
        assert emulator.account("default", "alice") == {"balances": {}, "metadata": {}}
        flows.run(flows.workflow(NOOP))
        assert emulator.counters()["instances"] == 1


@pytest.mark.parametrize(
    "wish, message",
    [
        ({"kind": "explode"}, "kind is 'explode'"),
        ({"kind": "status"}, "status is None"),
        ({"kind": "delay", "seconds": "1"}, "seconds is '1'"),
        ({"kind": "garbage", "operation": "list"}, "operation is 'list'"),
        ({"kind": "garbage", "times": 1.5}, "times is 1.5"),
        ({"kind": "garbage", "times": 0}, "times is 0; it must be a whole number from 1"),
        ({"kind": "garbage", "times": -2}, "times is -2"),
        ({"kind": "status", "status": 99}, "status is 99; 'status' needs a whole number from 200 to 599"),
        ({"kind": "status_after", "status": 600}, "status is 600"),
        ({"kind": "status", "status": True}, "status is True"),
        ({"kind": "status", "status": 503.5}, "status is 503.5"),
        ({"kind": "status", "status": 503, "headers": ["a"]}, "headers is .'a'.; it must be an object"),
        ({"kind": "delay", "seconds": -1}, "seconds is -1; a fault of kind 'delay' needs a number from 0"),
        ({"kind": "delay", "seconds": True}, "seconds is True"),
        ({"kind": "delay", "seconds": float("nan")}, "seconds is nan"),
        ({"kind": "rate_limit", "per_second": -1}, "per_second is -1"),
        ([], "a fault is an object"),
    ],
)
def test_faults_that_cannot_be(emulator, wish, message):
    with pytest.raises(ValueError, match=message):
        emulator.control("POST", "faults", wish)
    assert emulator.control("GET", "faults") == {"data": []}


def test_control_requests_that_make_no_sense(emulator):
    for method, path, body in (
        ("GET", "nope", None),
        ("POST", "instances/nobody", {"engine": "cancel"}),
        ("POST", "events", {}),
        ("POST", "events", {"type": "E", "version": 2}),
        ("POST", "events", {"type": "E", "app": None}),
        ("GET", "ledgers/none/accounts/a", None),
    ):
        with pytest.raises(ValueError, match=r"40[04]"):
            emulator.control(method, path, body)


@pytest.mark.faults
class TestFaults:
    @pytest.fixture
    def workflow(self, flows):
        return flows.workflow(WAIT)

    def started(self, emulator, workflow):
        return [run for run in emulator.runs() if run["workflow"] == workflow]

    @pytest.mark.parametrize("kind, runs", [("reset_before", 0), ("reset_after", 1)])
    def test_a_reset(self, emulator, flows, workflow, kind, runs):
        emulator.fault("run_workflow", kind)
        with pytest.raises(requests.ConnectionError) as raised:
            flows.run(workflow, key="v")
        assert "reset" in str(raised.value).lower()
        assert len(self.started(emulator, workflow)) == runs
        flows.run(workflow, key="v")
        assert len(self.started(emulator, workflow)) == runs + 1
        assert self.started(emulator, workflow)[0]["variables"] == {"key": "v"}

    @pytest.mark.parametrize("kind, runs", [("status", 0), ("status_after", 1)])
    def test_a_status(self, emulator, flows, workflow, kind, runs):
        emulator.fault("run_workflow", kind, status=503, headers={"Retry-After": "7"}, body={"a": 1})
        answer = flows.ask("POST", f"/workflows/{workflow}/instances", {})
        assert (answer.status_code, answer.headers["Retry-After"], answer.json()) == (503, "7", {"a": 1})
        assert len(self.started(emulator, workflow)) == runs

    def test_a_page_of_a_gateway(self, emulator, flows):
        emulator.fault("*", "status", status=502, headers={"Content-Type": "text/html"}, body="<h1>Bad</h1>")
        answer = flows.ask("GET", "/workflows")
        assert (answer.status_code, answer.headers["Content-Type"], answer.text) == (502, "text/html", "<h1>Bad</h1>")

    def test_a_delay(self, emulator, flows):
        emulator.fault("list_workflows", "delay", seconds=0.3)
        began = time.monotonic()
        assert flows.ask("GET", "/workflows").status_code == 200
        assert time.monotonic() - began >= 0.3

    def test_an_answer_that_never_comes(self, emulator, flows, workflow):
        emulator.fault("run_workflow", "hang_after")
        with pytest.raises(requests.ReadTimeout):
            flows.ask("POST", f"/workflows/{workflow}/instances", {}, timeout=0.3)
        assert len(self.started(emulator, workflow)) == 1

    def test_garbage(self, emulator, flows):
        emulator.fault("list_workflows", "garbage")
        answer = flows.ask("GET", "/workflows")
        assert answer.status_code == 200
        with pytest.raises(requests.JSONDecodeError):
            answer.json()

    def test_expired_tokens(self, emulator, flows):
        emulator.fault("*", "expire_tokens")
        assert flows.ask("GET", "/workflows").status_code == 401
        flows.log_in()
        assert flows.ask("GET", "/workflows").status_code == 200

    def test_a_token_that_is_not_given(self, emulator, flows):
        emulator.fault("token", "status", status=500)
        answer = requests.post(emulator.token_url, data={"grant_type": "client_credentials"}, timeout=10)
        assert answer.status_code == 500
        assert flows.ask("GET", "/workflows").status_code == 200

    def test_how_often(self, emulator, flows):
        emulator.fault("list_workflows", "status", times=2, status=503)
        assert [flows.ask("GET", "/workflows").status_code for _ in range(3)] == [503, 503, 200]
        emulator.fault("list_workflows", "status", times="always", status=503)
        assert [flows.ask("GET", "/workflows").status_code for _ in range(5)] == [503] * 5
        emulator.clear_faults()
        assert flows.ask("GET", "/workflows").status_code == 200

    def test_too_many_requests(self, emulator, flows):
        emulator.fault("list_triggers", "rate_limit", per_second=2)
        answers = [flows.ask("GET", "/triggers") for _ in range(5)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert refused[0].headers["Retry-After"] == "1"
        assert answers[0].status_code == 200
        assert flows.ask("GET", "/workflows").status_code == 200

    def test_without_a_worker_runs_wait_and_start_when_it_is_back(self, emulator, flows, workflow):
        waiting = flows.run(workflow)
        wait_for(lambda: flows.ask("POST", f"/instances/{waiting}/events", {"name": "x"}).status_code == 204)
        emulator.fault("*", "worker_down")
        with pytest.raises(requests.ReadTimeout):
            flows.ask("POST", f"/workflows/{workflow}/instances", {"who": "has gone"}, timeout=0.3)
        assert len(self.started(emulator, workflow)) == 1
        assert flows.ask("POST", f"/instances/{waiting}/events", {"name": "go"}).status_code == 204
        patient = threading.Thread(target=flows.run, args=(workflow,), kwargs={"who": "stayed"})
        patient.start()
        wait_for(lambda: emulator.counters()["requests"]["run_workflow"] == 3)
        assert not flows.instance(waiting)["terminated"]
        emulator.clear_faults()
        patient.join(10)
        assert not patient.is_alive()
        runs = self.started(emulator, workflow)
        assert [run["variables"].get("who") for run in runs] == [None, "has gone", "stayed"]
        wait_for(lambda: flows.instance(waiting)["terminated"])


def test_what_is_done_to_the_engine(emulator, flows):
    instance = flows.run(flows.workflow(WAIT))
    wait_for(lambda: flows.data("GET", f"/instances/{instance}/history"))
    emulator.engine(instance, "cancel")
    assert flows.data("GET", f"/instances/{instance}/history")[0]["error"] == "canceled"
    emulator.engine(instance, "purge_history")
    assert flows.ask("GET", f"/instances/{instance}/history").status_code == 500
    with pytest.raises(ValueError, match="engine is 'stop'"):
        emulator.engine(instance, "stop")


def test_an_abort_that_is_honoured():
    with EmulatorProcess("--abort", "honour") as emulator:
        flows = Flows(emulator)
        instance = flows.run(flows.workflow(WAIT))
        assert flows.ask("PUT", f"/instances/{instance}/abort").status_code == 204
        assert (flows.instance(instance)["terminated"], flows.instance(instance)["error"]) == (True, "canceled")


def test_an_event_of_the_bus_and_pages_of_triggers(emulator, flows):
    workflow = flows.workflow(NOOP)
    ids = [
        flows.data("POST", "/triggers", {"event": "ORDER", "workflowID": workflow, "vars": {"n": "event.n"}})["id"]
        for _ in range(17)
    ]
    listed = [len(flows.data("GET", f"/triggers{query}")) for query in ("", "?pageSize=16", "?pageSize=0")]
    assert listed == [15, 16, 15]
    for query in ("pageSize=x", f"pageSize={'9' * 5000}", "cursor=abc", "cursor=abc&pageSize=1"):
        refused = flows.ask("GET", f"/triggers?{query}")
        assert refused.status_code == 400
        assert refused.json()["errorMessage"] == f"invalid '{query.partition('=')[0]}' query param"
    for trigger in ids[1:]:
        flows.ask("DELETE", f"/triggers/{trigger}")
    emulator.publish("ORDER", {"n": 7}, version="v1")
    (one,) = wait_for(lambda: flows.data("GET", f"/triggers/{ids[0]}/occurrences"))
    assert one["event"]["payload"] == {"n": 7}
    assert emulator.runs()[-1]["variables"] == {"n": "7"}
    flows.ask("DELETE", f"/triggers/{ids[0]}")


def test_more_ledgers(emulator, flows):
    emulator.make_ledger("second")
    emulator.make_ledger("second")
    account = {"account": {"id": "world", "ledger": "second"}}
    stage = {**send()["send"], "source": account, "destination": {"account": {"id": "zoe", "ledger": "second"}}}
    flows.run(flows.workflow({"send": stage}))
    wait_for(lambda: emulator.account("second", "zoe")["balances"] == {"EUR/2": 100})


@pytest.mark.parametrize(
    "body, status, message",
    [
        ("name: y\nstages:\n- delay: {duration: 1s}\n- wait_event: {event: on}\n", 201, None),
        ("stages: [noop: {}, wait_event: {event: on}]\n---\nname: another\n", 201, None),
        ("stages: [noop: {}, wait_event: {event: !!binary b24=}]", 201, None),
        ("", 400, "unmarshalling yaml: EOF"),
        ("name: [", 400, "unmarshalling yaml: yaml: line 1: did not find expected node content"),
        ("name: a\nname: b", 400, 'line 2: mapping key "name" already defined at line 1'),
        ("- a\n", 400, "cannot unmarshal !!seq into map[string]interface {}"),
        (
            "stages: 6\nname: 5\n",
            400,
            "unmarshalling workflow data: json: cannot unmarshal number into Go struct field Config.name",
        ),
    ],
)
def test_definitions_in_yaml(flows, body, status, message):
    answer = create_from_yaml(flows, body)
    assert answer.status_code == status
    if message is None:
        assert answer.json()["data"]["config"]["stages"][1] == {"wait_event": {"event": "on"}}
    else:
        assert message in answer.json()["errorMessage"]


def create_from_yaml(flows, body):
    headers = {"Content-Type": "text/vnd.yaml"}
    return flows.session.post(flows.emulator.flows_url + "/workflows", data=body, headers=headers, timeout=10)


@pytest.mark.parametrize("value", [".inf", "{1: x}"])
def test_yaml_that_is_no_json_is_a_panic_of_the_server(flows, value):
    answer = create_from_yaml(flows, f"stages: [{{noop: {{a: {value}}}}}]")
    assert (answer.status_code, answer.content) == (500, b"")
    assert answer.headers["Content-Type"] == "application/json"


WRONG = "json: cannot unmarshal {} into Go struct field {} of type {}"


@pytest.mark.parametrize(
    "body, message",
    [
        ('{"name":5,"stages":6}', WRONG.format("number", "Config.name", "string")),
        ('{"stages":6,"name":5}', WRONG.format("number", "Config.stages", "[]workflow.RawStage")),
        ('{"name":5,"name":"x"}', WRONG.format("number", "Config.name", "string")),
        ('{"name":[],"name":{}}', WRONG.format("array", "Config.name", "string")),
        ('{"stages":[{"noop":5},"x"]}', WRONG.format("number", "Config.stages", "map[string]interface {}")),
        ('{"stages":[{"b":5,"a":"x"}]}', WRONG.format("number", "Config.stages", "map[string]interface {}")),
        ('{"stages":["a",5],"name":5}', WRONG.format("string", "Config.stages", "workflow.RawStage")),
    ],
)
def test_the_first_that_does_not_fit_is_told(flows, body, message):
    answer = flows.session.post(flows.emulator.flows_url + "/workflows", data=body, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["errorMessage"] == f"unmarshalling json body: {message}"


@pytest.mark.parametrize(
    "body, message",
    [
        ('{"vars":{"b":1,"a":[]},"event":5}', WRONG.format("number", "TriggerData.vars", "string")),
        ('{"event":5,"vars":{"a":1}}', WRONG.format("number", "TriggerData.event", "string")),
        ('{"workflow":"x","name":6}', WRONG.format("string", "TriggerData.workflow", "workflow.Workflow")),
        ('{"workflow":[]}', WRONG.format("array", "TriggerData.workflow", "workflow.Workflow")),
    ],
)
def test_the_first_of_a_trigger_that_does_not_fit_is_told(flows, body, message):
    answer = flows.session.post(flows.emulator.flows_url + "/triggers", data=body, timeout=10)
    assert (answer.status_code, answer.json()["errorMessage"]) == (500, message)


def test_the_last_of_two_members_of_a_name_counts(flows):
    body = '{"name":"a","NAME":"b","stages":[{"noop":{}}],"workflow":{}}'
    answer = flows.session.post(flows.emulator.flows_url + "/workflows", data=body, timeout=10)
    assert answer.json()["data"]["config"] == {"name": "b", "stages": [{"noop": {}}]}


@pytest.mark.parametrize("where", ["filter", "vars"])
def test_a_trigger_whose_types_cannot_fit_is_refused(flows, where):
    body = {"event": "E", "workflowID": flows.workflow(NOOP)}
    text = '1 + "a"'
    answer = flows.ask("POST", "/triggers", body | {where: text if where == "filter" else {"a": text}})
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "VALIDATION")
    assert answer.json()["errorMessage"] == (
        f"validating data: error compiling expression '{text}': "
        f"invalid operation: + (mismatched types int and string) (1:3)\n | {text}\n | ..^"
    )


def test_an_amount_may_have_any_number_of_digits():
    amount = "7" * 5000
    with EmulatorProcess("--time-scale", "0.1") as emulator:
        flows = Flows(emulator)
        trigger = {
            "event": "COMMITTED_TRANSACTIONS",
            "workflowID": flows.workflow(NOOP),
            "filter": "event.ledger != ''",
        }
        trigger_id = flows.data("POST", "/triggers", trigger)["id"]
        flows.run(flows.workflow(send(amount)))
        # As text: Python's own reader has a limit, too.
        account = f"{emulator.url}/_emulator/ledgers/default/accounts/alice"
        wait_for(lambda: amount in requests.get(account, timeout=10).text)
        wait_for(lambda: amount in flows.ask("GET", f"/triggers/{trigger_id}/occurrences").text)


@pytest.mark.parametrize("wait", ["true", "TRUE", "1"])
def test_waiting_does_not_wait(flows, wait):
    workflow = flows.workflow({"delay": {"duration": "1h"}})
    answer = flows.data("POST", f"/workflows/{workflow}/instances?wait={wait}", {})
    assert answer["workflow"]["id"] == workflow
    assert answer["terminated"] is False
    assert len(answer["status"]) == 1


def test_a_body_of_unknown_length_is_not_looked_at(flows):
    url = f"{flows.emulator.flows_url}/workflows/{flows.workflow(WAIT)}/instances"
    assert flows.session.post(url, data=iter([b"{oops"]), timeout=10).status_code == 201
    assert flows.session.post(url, data=b"{oops", timeout=10).status_code == 400


@pytest.mark.parametrize("name, near", [("a b", "a"), ("5", "5"), ("it's", "it"), ("-x", "-")])
def test_triggers_cannot_be_asked_for_by_name(flows, name, near):
    answer = flows.session.get(flows.emulator.flows_url + "/triggers", params={"name": name}, timeout=10)
    assert answer.status_code == 500
    assert json.loads(answer.text)["errorMessage"] == f'ERROR: syntax error at or near "{near}" (SQLSTATE 42601)'
