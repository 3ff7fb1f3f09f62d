"""Events on the bus, and what they start."""

from __future__ import annotations

import re

from airflow_provider_orchestration.emulator.world.models import Trigger
from tests.unit.emulator.conftest import Lab, send


def trigger(lab: Lab, event: str, **more) -> Trigger:
    number = next(lab.numbers)
    made = Trigger(f"trigger-{number}", "", event, lab.workflow({"noop": {}}).id, lab.now, **more)
    lab.state.triggers[made.id] = made
    return made


def occurrences(lab: Lab):
    return [one.show(lab.state.instances.get(one.instance_id or "")) for one in lab.state.occurrences.values()]


def test_an_event_starts_a_run_with_variables(lab):
    made = trigger(lab, "SAVED_ORDER", vars={"id": "event.id", "amount": "event.lines[0].amount"})
    lab.bus.publish("SAVED_ORDER", {"id": "o-1", "lines": [{"amount": 5}]}, "shop", "v1")
    lab.pass_time(3)
    (one,) = occurrences(lab)
    assert one["triggerID"] == made.id
    assert re.fullmatch(r"[0-9a-f-]{36}_11", one["workflowInstanceID"])
    assert one["workflowInstance"]["terminated"] is True
    assert "workflow" not in one["workflowInstance"]
    assert one["event"]["type"] == "SAVED_ORDER"
    assert lab.state.instances[one["workflowInstanceID"]].variables == {"id": "o-1", "amount": "5"}


def test_type_version_and_filter_choose(lab):
    wanted = trigger(lab, "E", version="v2", filter="event.n > 1")
    trigger(lab, "OTHER")
    trigger(lab, "E", version="v1")
    trigger(lab, "E", filter="event.n")
    trigger(lab, "E", filter="event.missing.deeper == 1")
    trigger(lab, "E", deleted=True)
    lab.bus.publish("E", {"n": 1}, version="v2")
    lab.bus.publish("E", {"n": 2}, version="v2")
    lab.pass_time(3)
    assert [(one["triggerID"], one["event"]["payload"]) for one in occurrences(lab)] == [(wanted.id, {"n": 2})]


def test_an_expression_that_fails_starts_nothing(lab):
    trigger(lab, "E", vars={"x": 'link(event, "x")'})
    lab.bus.publish("E", {})
    lab.pass_time(3)
    (one,) = occurrences(lab)
    assert one["error"] == (
        "activity error (type: EvalTriggerVariables, scheduledEventID: 5, startedEventID: 6, identity: worker): "
        "link 'x' not defined for object (type: APPLICATION, retryable: false): link 'x' not defined for object"
    )
    assert "workflowInstanceID" not in one
    assert lab.state.instances == {}


def test_a_transaction_fires(lab):
    trigger(lab, "COMMITTED_TRANSACTIONS", version="v2", vars={"amt": "event.transactions[0].postings[0].amount"})
    lab.run(send("42"))
    lab.pass_time(3)
    (one,) = occurrences(lab)
    assert (one["event"]["app"], one["event"]["version"]) == ("ledger", "v2")
    assert lab.state.instances[one["workflowInstanceID"]].variables == {"amt": "42"}


def test_flows_tells_of_itself(lab):
    for kind in ("STARTED", "SUCCEEDED", "FAILED"):
        trigger(lab, f"{kind}_WORKFLOW_STAGE", filter="event.instanceID == 'instance-7'")
    started, succeeded, failed = lab.state.triggers.values()
    lab.numbers = iter([7, 8, 9, 10])
    lab.run({"noop": {}}, {"wait_event": {}})
    lab.pass_time(5)
    fired = [(one["triggerID"], one["event"]["payload"].get("number")) for one in occurrences(lab)]
    assert sorted(fired) == sorted([(started.id, 0), (succeeded.id, 0), (started.id, 1), (failed.id, 1)])
    assert {one["event"]["app"] for one in occurrences(lab)} == {"orchestration"}


def test_a_payment_fires_once(lab):
    trigger(lab, "SAVED_PAYMENT")
    for identity in ("p-1", "p-2", "p-1"):
        lab.bus.publish("SAVED_PAYMENT", {"id": identity})
    lab.pass_time(3)
    assert [one["event"]["payload"]["id"] for one in occurrences(lab)] == ["p-1", "p-2"]


def test_the_workflow_of_a_trigger_runs_although_it_was_deleted(lab):
    made = trigger(lab, "E")
    lab.state.workflows[made.workflow_id].deleted_at = lab.now
    lab.bus.publish("E", {})
    lab.pass_time(3)
    assert len(lab.state.instances) == 1
