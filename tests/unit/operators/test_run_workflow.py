"""Running a workflow: what is submitted, what the log and XCom say, and which end is which colour. In both modes."""

from __future__ import annotations

import re
import time

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_orchestration.exceptions import NotFoundError
from tests.support.flows import FAILS, delay, send, unique, wait_event
from tests.support.task_life import told

VARIABLES = {"amount": 1000, "payee": "users:alice"}
STAGES = (send("${payee}", amount="${amount}"), delay(3))


def test_a_run_that_succeeds(flows, run_task, said, deferrable):
    payee = unique("users")
    workflow = flows.workflow(*STAGES)
    life = run_task(workflow_id=workflow.id, variables={"amount": 1000, "payee": payee})
    assert life.execute() == "success"
    (run,) = flows.runs_of(workflow.id)
    result = life.result
    assert life.xcoms["instance_id"] == result["instance_id"] == run["instance"]
    assert result["state"] == "succeeded"
    assert (result["workflow_id"], result["workflow_name"]) == (workflow.id, workflow.name)
    assert result["run_key"] == run["variables"]["airflow_run_key"] == life.record["run_key"]
    assert [(stage["stage"], stage["kind"], stage["error"]) for stage in result["stages"]] == [
        (0, "send", None),
        (1, "delay", None),
    ]
    assert all(stage["started_at"] < stage["terminated_at"] for stage in result["stages"])
    (transaction,) = result["transactions"]
    assert transaction["postings"] == [{"source": "world", "destination": payee, "amount": "1000", "asset": "EUR/2"}]
    assert transaction["metadata"] == {"airflow": result["run_key"]}
    assert result["taken_over"] is False
    assert flows.balance(payee) == 1000
    assert life.deferred_to == (["InstanceEndTrigger"] if deferrable else [])
    for part in (
        f"submitting workflow {workflow.name!r} ({workflow.id})",
        f"run key {result['run_key']}",
        f"instance {run['instance']} was started",
        "stage 2/2 delay 3000ms: waiting",
        "stage 2/2 delay 3000ms: done in",
        f"instance {run['instance']} succeeded; transactions: 1",
    ):
        assert said.having(part, "info")
    assert not said.having("", "warning")[1:], "the warning of Airflow that a test calls execute, and no other"


def test_the_instance_id_is_known_long_before_the_end(flows, run_task):
    workflow = flows.workflow(wait_event("go"))
    life = run_task(workflow_id=workflow.id)
    seen = []

    def approve(key, value):
        if value.get("phase") == "submitted":
            flows.waiting_at(value["instance_id"], 0)
            flows.client.send_event(value["instance_id"], "go")
        elif value.get("phase") == "ended":
            seen.append(dict(life.xcoms))

    life.store.before_write = approve
    assert life.execute() == "success"
    assert seen == [{"instance_id": life.result["instance_id"]}]


def test_a_run_that_fails_is_not_retried_and_says_why_on_one_line(flows, run_task, said):
    workflow = flows.workflow(send("a"), FAILS)
    life = run_task(workflow_id=workflow.id, variables={"amount": "much"})
    assert life.execute() == "failed"
    assert isinstance(life.error, AirflowFailException)
    (run,) = flows.runs_of(workflow.id)
    assert str(life.error).startswith(f"instance {run['instance']} failed: stage 2/2 send: ")
    assert said.having("Airflow does not retry it, because its first stages may have moved money", "error")
    assert "\n" not in str(life.error)
    assert life.xcoms == {"instance_id": run["instance"]}
    assert life.record["result"]["transactions"][0]["stage"] == 0


def test_by_name_the_newest_is_run(flows, run_task, said):
    name = unique("payout")
    flows.workflow(send("old"), name=name)
    newest = flows.workflow(send("new"), name=name)
    life = run_task(workflow_name=name)
    assert life.execute() == "success"
    assert life.result["workflow_id"] == newest.id
    assert said.having(f" workflows are named {name!r}: the newest is taken, {newest.id}")


@pytest.mark.parametrize("by", ["workflow_id", "workflow_name"])
def test_an_unknown_workflow_is_told_and_may_yet_be_made(flows, run_task, by):
    missing = unique("missing")
    life = run_task(**{by: missing})
    assert life.execute() == "up_for_retry"
    assert isinstance(life.error, NotFoundError)
    assert missing in told(life.error)
    assert life.record["phase"] == "begun"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"amount": 10.0, "payee": "a"}, "amount = 10.0 is a float"),
        ({"amount": True, "payee": "a"}, "amount = True is a bool"),
        ({"amount": None, "payee": "a"}, "amount = None is a NoneType"),
        ({"amount": ["1"], "payee": "a"}, "amount = ['1'] is a list"),
        ({"amount": "1"}, "variables: payee missing"),
        (None, "variables: amount, payee missing"),
        ("amount=1", "variables must be a mapping"),
        ({"amount": "1", "payee": "a", "airflow_run_key": "x"}, "airflow_run_key is the provider's own"),
    ],
)
def test_bad_variables_are_refused_for_good_and_nothing_is_sent(flows, run_task, given, says):
    workflow = flows.workflow(*STAGES)
    life = run_task(workflow_id=workflow.id, variables=given)
    assert life.execute() == "failed"
    assert isinstance(life.error, AirflowFailException)
    assert says in told(life.error)
    assert (flows.runs_of(workflow.id), life.record["phase"]) == ([], "begun")


def test_unknown_variables_are_warned_of_and_sent(flows, run_task, said):
    workflow = flows.workflow(send("a"))
    life = run_task(workflow_id=workflow.id, variables={"note": "x"})
    assert life.execute() == "success"
    assert said.having("variables: note: workflow", "warning")
    assert flows.runs_of(workflow.id)[0]["variables"]["note"] == "x"


def test_a_deleted_workflow_is_refused(flows, run_task):
    workflow = flows.workflow(*STAGES)
    flows.client.delete_workflow(workflow.id)
    life = run_task(workflow_id=workflow.id, variables=VARIABLES)
    assert life.execute() == "failed"
    assert "was deleted at" in str(life.error)
    assert flows.runs_of(workflow.id) == []


def test_one_that_is_deleted_while_a_run_is_under_way_ends_all_the_same(flows, run_task):
    workflow = flows.workflow(delay(3))
    life = run_task(workflow_id=workflow.id)
    life.store.before_write = lambda key, value: (
        flows.client.delete_workflow(workflow.id) if value.get("phase") == "submitted" else None
    )
    assert life.execute() == "success"
    assert flows.client.get_workflow(workflow.id).deleted_at is not None


def test_it_can_end_as_soon_as_the_run_was_accepted(flows, run_task, said):
    workflow = flows.workflow(wait_event("go"))
    life = run_task(workflow_id=workflow.id, wait_for_completion=False, run_timeout=None)
    assert life.execute() == "success"
    (run,) = flows.runs_of(workflow.id)
    assert life.result == {
        "instance_id": run["instance"],
        "workflow_id": workflow.id,
        "state": "running",
        "run_key": life.record["run_key"],
    }
    assert life.deferred_to == []
    assert not said.having("run_timeout")
    # A clear takes it over, and starts no second one.
    life.clear()
    assert life.execute() == "success"
    assert life.result["instance_id"] == run["instance"]
    assert len(flows.runs_of(workflow.id)) == 1


def test_waiting_for_ever_and_retries_of_none_are_warned_of_once(flows, run_task, said):
    life = run_task(workflow_id=flows.workflow(send("a")).id, run_timeout=None, retries=0, life={"retries": 0})
    assert life.execute() == "success"
    assert len(said.having("no run_timeout", "warning")) == 1
    assert len(said.having("retries=0", "warning")) == 1


@pytest.mark.parametrize(("map_index", "name"), [(-1, "invoice-7"), (4, "invoice-7"), (-1, None), (4, "")])
def test_the_run_key_names_the_task_and_its_business(flows, run_task, map_index, name):
    workflow = flows.workflow(send("a"))
    named = {"run_key_name": name} if name else {}
    life = run_task(workflow_id=workflow.id, **named, life={"run_id": "r", "map_index": map_index})
    assert life.execute() == "success"
    position = "pay[4]" if map_index == 4 else "pay"
    assert life.result["run_key"].startswith(f"{life.names[0]}/r/{position}{f':{name}' if name else ''}@")


def test_a_failed_poll_touches_nothing_and_is_told(flows, run_task, said):
    workflow = flows.workflow(delay(8))
    life = run_task(workflow_id=workflow.id)

    def trouble(key, value):
        if value.get("phase") == "submitted":
            for kind in ("reset_before", "garbage"):
                flows.emulator.fault("get_instance", kind)
            flows.emulator.fault("get_instance", "status", times=3, status=503)

    life.store.before_write = trouble
    assert life.execute() == "success"
    assert len(said.having("cannot be read (the run is not touched by that)", "warning")) == 1
    assert len(said.having("can be read again", "info")) == 1
    assert flows.asked("cancel_event") == 0


def test_looks_that_fail_for_too_long_fail_the_task_with_a_retry_that_takes_over(flows, run_task, said):
    workflow = flows.workflow(wait_event("go"))
    life = run_task(workflow_id=workflow.id, poll_failure_timeout=0.3)
    life.store.before_write = lambda key, value: (
        flows.emulator.fault("get_instance", "status", times="always", status=503)
        if value.get("phase") == "submitted"
        else None
    )
    began = time.monotonic()
    assert life.execute() == "up_for_retry"
    assert 0.3 <= time.monotonic() - began < 10
    assert re.fullmatch(r"no look at instance \S+ succeeded for 0.3 s", str(life.error))
    assert said.having("this task has stopped watching it", "error")
    flows.emulator.clear_faults()
    life.store.before_write = lambda key, value: None
    instance_id = flows.runs_of(workflow.id)[0]["instance"]
    flows.client.send_event(instance_id, "go")
    flows.ended(instance_id)
    assert life.execute() == "success"
    assert life.result["taken_over"] is True
    assert len(flows.runs_of(workflow.id)) == 1
