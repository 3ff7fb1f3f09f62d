"""What adopt and forget make of a record, and when they are refused."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orchestration.exceptions import InvalidInputError
from airflow_provider_orchestration.run.judge.outcome import State
from airflow_provider_orchestration.run.keys import differing, digest_of_all, new_run_key
from airflow_provider_orchestration.run.record import Decision, Earlier, Phase, RunRecord
from airflow_provider_orchestration.run.submit.again import Ask, Step, decide
from airflow_provider_orchestration.run.submit.deciding import (
    adopted,
    forgotten,
    own_key,
    record_for,
)
from tests.support.things import instance, run_record

NONCE = "@0123456789abcdef"
KEY = f"dag/run/task{NONCE}"
BY = Decision("adopt", "ann", "2026-11-23T18:00:00+00:00", "i2")
CLEARED = {"generation": 5, "try_number": 4, "clear_number": 1}
ASK, OTHER = Ask("w", None, None), Ask("v", None, None)


def test_whose_an_instance_is_by_its_key():
    assert own_key([KEY], "dag/run/task") == KEY
    named = f"dag/run/task[3]:INV-1{NONCE}"
    assert own_key([named], "dag/run/task[3]") == named
    assert own_key([], "dag/run/task") is None
    for other in ("dag/run/task2", "dag/run2/task", "dag/run/task[3]", "dag/run/other:task"):
        with pytest.raises(InvalidInputError, match=r"the run of another task than dag/run/task$"):
            own_key([other + NONCE], "dag/run/task")


def a_record(**fields: Any) -> RunRecord:
    return run_record(digest=ASK.digest, **fields)


@pytest.mark.parametrize("phase", [Phase.INTENT, Phase.UNKNOWN, Phase.REFUSED, Phase.FORGOTTEN])
def test_adopt_what_is_not_known(phase):
    record = a_record(phase=phase, instance_id=None, deadline=1.0)
    made = adopted(record, instance(id="i2"), None, None, BY)
    assert made == record.but(phase=Phase.SUBMITTED, instance_id="i2", decisions=(BY,))
    # The clear that follows takes over, unless it asks for something else than what was submitted.
    assert decide(made, ASK, CLEARED) is Step.TAKE_OVER
    assert decide(made, OTHER, CLEARED) is Step.REFUSE_OTHER


@pytest.mark.parametrize("named", [State.FAILED, State.DEAD])
def test_adopt_in_place_of_a_failed_one_keeps_it_among_the_earlier(named):
    record = a_record(phase=Phase.ENDED, state=str(named), error="no funds", result={"instance_id": "i1"})
    made = adopted(record, instance(id="i2"), None, named, BY)
    assert made.earlier == (Earlier(record.run_key, "i1", str(named), "no funds"),)
    assert (made.phase, made.instance_id, made.state, made.error, made.result) == (
        Phase.SUBMITTED,
        "i2",
        None,
        None,
        None,
    )


@pytest.mark.parametrize("named", [State.RUNNING, State.SUCCEEDED, None])
def test_adopt_is_refused_beside_a_run_of_its_own(named):
    record = a_record(phase=Phase.SUBMITTED, instance_id="i1")
    with pytest.raises(InvalidInputError, match=f"instance i1, {named or 'of which nothing is known'}; only one that"):
        adopted(record, instance(id="i2"), None, named, BY)


def test_who_adopted_the_wrong_one_can_correct_it():
    wrong = a_record(instance_id="i1", decisions=(Decision("adopt", "ann", "", "i1"),))
    made = adopted(wrong, instance(id="i2"), None, State.RUNNING, BY)
    assert (made.instance_id, [one.instance_id for one in made.earlier]) == ("i2", ["i1"])
    assert len(made.decisions) == 2


def test_adopt_is_refused_for_another_workflow():
    with pytest.raises(InvalidInputError, match="it is of workflow w2, and this task submitted workflow w1"):
        adopted(a_record(phase=Phase.UNKNOWN, instance_id=None), instance(id="i2", workflowID="w2"), None, None, BY)


def test_adopt_of_its_own_instance_changes_nothing():
    record = a_record(instance_id="i1")
    assert adopted(record, instance(id="i1"), None, State.RUNNING, BY) is record


def test_adopt_of_an_earlier_submission_takes_its_key_and_keeps_the_other():
    record = a_record(phase=Phase.UNKNOWN, instance_id=None)
    made = adopted(record, instance(id="i2"), "dag/run/task@ffffffffffffffff", None, BY)
    assert made.run_key == "dag/run/task@ffffffffffffffff"
    assert made.earlier == (Earlier(record.run_key, state="unknown"),)


@pytest.mark.parametrize(("key", "run_key"), [(KEY, KEY), (None, "dag/run/task@adopted")])
def test_a_record_for_a_task_that_has_none(key, run_key):
    made = record_for(instance(id="i2"), key, "dag/run/task", 4, BY)
    assert (made.run_key, made.instance_id, made.workflow_id, made.generation) == (run_key, "i2", "w1", 4)
    # What was asked for is not known, so no clear asks for something else.
    assert decide(made, ASK, CLEARED) is Step.TAKE_OVER


@pytest.mark.parametrize("recorded", [True, False])
def test_what_the_key_of_an_adopted_run_proves_is_not_what_another_ask_is(recorded):
    """Or a clear would be green by the payment of another line of the list, and write down that it was this one."""
    paid = Ask("w", None, {"amount": 1}, name="INV-1", named=True, mapped=True)
    key = new_run_key("dag/run/task[0]", paid.name, digest_of_all(paid.digest))
    if recorded:
        made = adopted(a_record(phase=Phase.UNKNOWN, instance_id=None), instance(id="i2"), key, None, BY)
    else:
        made = record_for(instance(id="i2"), key, "dag/run/task[0]", 4, BY)
    assert decide(made, paid, CLEARED) is Step.TAKE_OVER
    for other, differs in (
        (Ask("w", None, {"amount": 2}, name="INV-1", named=True, mapped=True), ["workflow or variables"]),
        (Ask("w", None, {"amount": 1}, name="INV-2", named=True, mapped=True), ["run_key_name"]),
    ):
        assert decide(made, other, CLEARED) is Step.REFUSE_OTHER
        assert differing(made.digest, other.digest) == differs


@pytest.mark.parametrize("phase", [Phase.INTENT, Phase.UNKNOWN])
def test_forget_lets_a_clear_submit_again_and_keeps_the_key(phase):
    record = a_record(phase=phase, instance_id=None)
    made = forgotten(record, BY)
    assert made.phase is Phase.FORGOTTEN
    assert made.earlier == (Earlier(record.run_key, state="forgotten"),)
    assert made.decisions == (BY,)
    assert decide(record, ASK, CLEARED) is Step.RECOVER
    assert decide(made, ASK, CLEARED) is Step.SUBMIT
    assert made.replaced() == made.earlier


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"phase": Phase.REFUSED, "instance_id": None}, "nothing of it was accepted"),
        ({"phase": Phase.FORGOTTEN, "instance_id": None}, "it is forgotten already"),
        ({"phase": Phase.SUBMITTED}, "its run is known, instance i1: clear the task to take it over"),
        ({"phase": Phase.ENDED, "state": "succeeded"}, "instance i1, and it has succeeded.*start a new DAG run"),
        ({"phase": Phase.ENDED, "state": "failed"}, "instance i1, and it is failed: clear the task"),
        ({"phase": Phase.ENDED, "state": "dead"}, "instance i1, and it is dead: clear the task"),
    ],
)
def test_forget_is_refused_for_what_is_known(fields, why):
    with pytest.raises(InvalidInputError, match=why):
        forgotten(a_record(**fields), BY)
