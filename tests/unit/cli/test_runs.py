"""`airflow formance runs`: which instance belongs to which task."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_orchestration.cli.runs import _since
from airflow_provider_orchestration.exceptions import InvalidInputError
from airflow_provider_orchestration.run.record import RunRecord
from airflow_provider_orchestration.run.store import as_json
from tests.support.flows import FAILS, send, unique, wait_event
from tests.support.servers import on_next
from tests.unit.cli.conftest import KEY, raw_record

NAME = "/".join(KEY[:3])
OWN = f"{NAME}@0123456789abcdef"


@pytest.fixture
def runs(formance):
    """Return a function that runs `runs` for a workflow and returns its rows."""
    return lambda *arguments: formance("runs", "-o", "json", *arguments).json


def test_a_run_by_its_record(airflow_rest, flows, paying, runs):
    instance = flows.client.run_workflow(paying, {"airflow_run_key": OWN}).id
    flows.ended(instance)
    decision = {"what": "adopt", "who": "ann", "when": "2026-11-23T18:00:00+00:00", "instance_id": instance}
    airflow_rest.add_task(KEY, raw_record(paying, phase="submitted", instance_id=instance, decisions=[decision]))
    assert runs("--workflow-id", paying) == [
        {
            "dag_id": KEY[0],
            "run_id": KEY[1],
            "task_id": KEY[2],
            "map_index": -1,
            "task_state": "failed",
            "phase": "submitted",
            "workflow_id": paying,
            "run_key": OWN,
            "submitted_at": "2023-11-14T22:13:20+00:00",
            "instance_id": instance,
            "instance_state": "succeeded",
            "source": "record",
            "candidates": [],
            "earlier": [],
            "decisions": [decision],
            "note": None,
        }
    ]


def test_the_state_of_an_instance(airflow_rest, flows, runs):
    failing = flows.workflow(FAILS).id
    failed = flows.client.run_workflow(failing, {"amount": "nonsense"}).id
    flows.ended(failed)
    waiting = flows.client.run_workflow(flows.workflow(wait_event("e")).id).id
    for number, (instance, state) in enumerate([(failed, None), (waiting, None), (waiting, "dead"), ("none", None)]):
        record = raw_record(failing, phase="submitted", instance_id=instance, **({"state": state} if state else {}))
        airflow_rest.add_task((*KEY[:3], number), record)
    rows = runs("--workflow-id", failing)
    assert [row["instance_state"] for row in rows] == ["failed", "running", "dead", None]
    assert rows[3]["note"] == "the stack has no such instance"


def test_an_unknown_run_is_found_by_its_key_or_has_candidates(airflow_rest, flows, paying, runs):
    mine, others = (flows.client.run_workflow(paying, {"airflow_run_key": key}).id for key in (OWN, "by hand"))
    for instance in (mine, others):
        flows.ended(instance)
    airflow_rest.add_task(KEY, raw_record(paying))
    lost = (*KEY[:2], "lost", -1)
    airflow_rest.add_task(lost, raw_record(paying, run_key=f"{'/'.join(lost[:3])}@00000000000000ff"))
    found = {row["task_id"]: row for row in runs("--workflow-id", paying)}
    assert (found["pay"]["instance_id"], found["pay"]["source"]) == (mine, "history")
    assert found["pay"]["instance_state"] == "succeeded"
    assert found["lost"]["instance_id"] is None
    assert others in [one["instance_id"] for one in found["lost"]["candidates"]]
    assert all(one["history_read"] for one in found["lost"]["candidates"])
    assert found["lost"]["note"].startswith("not known whether it was submitted; candidates: ")


def test_instances_that_no_record_names(airflow_rest, flows, paying, runs):
    def start(key: str) -> str:
        instance = flows.client.run_workflow(paying, {"airflow_run_key": key}).id
        flows.ended(instance)
        return str(instance)

    dag = unique("dag")
    # A task without its record, one that has only begun, one whose record names another, a forgotten submission that
    # came late, a named one.
    airflow_rest.add_task((dag, "run", "bare", -1))
    airflow_rest.add_task((dag, "run", "begun", -1), as_json(RunRecord.begun(f"{dag}/run/begun@", {}, generation=2)))
    namesake = start(f"{dag}/run/begun@0123456789abcdef")
    own = start(f"{dag}/run/known[2]@0123456789abcdef")
    name = f"{dag}/run/known[2]"
    late = {"run_key": f"{name}@00000000000000aa", "state": "forgotten"}
    record = raw_record(paying, run_key=f"{name}@00", phase="submitted", instance_id=own, earlier=[late])
    # Not among the tasks that are listed: found by the key.
    airflow_rest.add_task((dag, "run", "known", 2), record, operator="PayoutOperator")
    bare = start(f"{dag}/run/bare@0123456789abcdef")
    forgotten = start(f"{dag}/run/known[2]@00000000000000aa")
    second = start(f"{dag}/run/known[2]@00000000000000bb")
    named = start(f"{dag}/run/gone:INV-1@0123456789abcdef")
    start("other/run/bare@0123456789abcdef")

    rows = runs("--workflow-id", paying, "--dag-id", dag)
    elsewhere = "Airflow has no such task: the run key is of another Airflow, or of a task or DAG run that is gone"
    elsewhere_too = "the task has submitted nothing yet: it is of another Airflow, or of a deleted DAG run"
    assert {row["instance_id"]: (row["task_id"], row["map_index"], row["source"], row["note"]) for row in rows} == {
        bare: ("bare", -1, "history", "no record names it, only its run key does"),
        namesake: ("begun", -1, "history", elsewhere_too),
        own: ("known", 2, "record", None),
        forgotten: ("known", 2, "history", "of a submission that was forgotten"),
        second: ("known", 2, "history", "the task's record names another instance"),
        named: ("gone", -1, "history", elsewhere),
    }
    assert [row["task_id"] for row in rows] == sorted(row["task_id"] for row in rows)


def test_tasks_that_have_begun_without_a_record_and_one_that_cannot_be_read(airflow_rest, flows, runs):
    dag = unique("dag")
    for task_id, state in {"ended": "failed", "coming": None, "skipped": "skipped"}.items():
        airflow_rest.add_task((dag, "run", task_id, -1), state=state)
    airflow_rest.add_task((dag, "run", "odd", -1), {"version": 99})
    airflow_rest.add_task((dag, "run", "begun", -1), as_json(RunRecord.begun(f"{dag}/run/begun@", {}, generation=2)))
    rows = {row["task_id"]: row for row in runs("--dag-id", dag, "--run-id", "run")}
    assert rows.keys() == {"ended", "odd", "begun"}
    begun = rows["begun"]
    assert (begun["phase"], begun["workflow_id"], begun["run_key"], begun["submitted_at"]) == (
        "begun",
        None,
        None,
        None,
    )
    assert (rows["ended"]["phase"], rows["ended"]["note"]) == (None, "no record")
    assert rows["odd"]["phase"] == "unreadable"
    assert "of version 99" in rows["odd"]["note"]


def test_operators_of_ones_own(airflow_rest, flows, runs):
    dag = unique("dag")
    airflow_rest.add_task((dag, "run", "pay", -1), operator="PayoutOperator")
    assert runs("--dag-id", dag) == []
    assert [row["task_id"] for row in runs("--dag-id", dag, "--operator", "PayoutOperator")] == ["pay"]


def test_what_airflow_knows_is_shown_where_the_stack_cannot_be_read(airflow_rest, flows, emulator, formance):
    airflow_rest.add_task(KEY, raw_record("w", phase="submitted", instance_id="i"))
    emulator.fault("list_instances", "status", times="always", status=503)
    ended = formance("runs", "-o", "json")
    assert [row["instance_id"] for row in ended.json] == ["i"]
    assert "WARNING: the stack cannot be read" in ended.err


@on_next
def test_what_could_be_read_is_shown_where_a_list_may_be_cut(airflow_rest, flows, formance):
    """A gateway lets only the first version of the API through, of whose list this is the only page."""
    paying = flows.workflow(send(unique("payee"))).id
    for _ in range(99):
        flows.client.run_workflow(paying, {"airflow_run_key": "another"})
    instance = flows.client.run_workflow(paying, {"airflow_run_key": OWN}).id
    flows.ended(instance)
    airflow_rest.add_task(KEY, raw_record(paying))
    flows.emulator.fault("list_instances_v2", "status", times="always", status=404)
    ended = formance("runs", "--workflow-id", paying, "-o", "json")
    assert "WARNING: not all instances could be read, so some may be missing below: list_instances" in ended.err
    assert [row["instance_id"] for row in ended.json] == [instance]


def test_for_people(airflow_rest, flows, paying, formance):
    instance = flows.client.run_workflow(paying).id
    flows.ended(instance)
    dag = unique("dag")
    airflow_rest.add_task((dag, "run", "pay", 3), raw_record("w", phase="submitted", instance_id="i-1", state="failed"))
    airflow_rest.add_task((dag, "run", "lost", -1), raw_record(paying))
    out = formance("runs", "--dag-id", dag).out
    table = {tuple(word.strip() for word in line.split("|")) for line in out.splitlines()}
    assert (dag, "run", "pay", "3", "failed", "submitted", "i-1", "failed") in table
    assert (dag, "run", "lost", "", "failed", "unknown", "", "") in table
    assert f"{dag}/run/lost: not known whether it was submitted; candidates: 1" in out
    assert f"  {instance} (created " in out


def test_a_run_id_alone_names_no_run(formance):
    assert "--run-id r needs --dag-id" in formance("runs", "--run-id", "r").error


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text, moment",
    [
        (None, datetime(2026, 11, 17, 12, tzinfo=UTC)),
        ("90m", datetime(2026, 11, 24, 10, 30, tzinfo=UTC)),
        ("12h", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2d", datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23T18:00:00+01:00", datetime(2026, 11, 23, 17, tzinfo=UTC)),
    ],
)
def test_since(text, moment):
    assert _since(text, NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "7", "d", "1w", ""])
def test_since_that_is_none(text):
    with pytest.raises(InvalidInputError, match=r"--since .*: give 90m, 12h, 7d, or an ISO 8601 time"):
        _since(text, NOW)
