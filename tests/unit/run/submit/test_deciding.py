"""What adopt and forget make of a record, and when they are refused."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.exceptions import InvalidInputError
from airflow_provider_orchestration.run.judge.outcome import State
from airflow_provider_orchestration.run.record import Decision, Earlier, Phase
from airflow_provider_orchestration.run.submit.again import Step, decide
from airflow_provider_orchestration.run.submit.deciding import (
    adopted,
    forgotten,
    names_of,
    own_key,
    position_of,
    record_for,
    run_keys_in,
)
from tests.support.things import instance, run_record

NONCE = "@0123456789abcdef"
KEY = f"dag/run/task{NONCE}"
BY = Decision("adopt", "ann", "2026-11-23T18:00:00+00:00", "i2")
CLEARED = 5


@pytest.mark.parametrize(
    ("texts", "keys"),
    [
        ([KEY, "users:42", "100"], [KEY]),
        ([f"{KEY} by Airflow"], [KEY]),
        ([f"{KEY} and a/b/c{NONCE}"], [KEY]),
        ([f"a{NONCE}", f"a/b{NONCE}", "dag/run/task@example.com", KEY[:-1], f"/run/task{NONCE}"], []),
        (None, []),
    ],
)
def test_run_keys_among_texts(texts, keys):
    assert run_keys_in(texts) == keys


@pytest.mark.parametrize(
    ("key", "position"),
    [
        (KEY, ("dag", "run", "task", -1)),
        (
            f"dag/manual__2026-11-23T18:00:00+00:00/group.task[12]{NONCE}",
            ("dag", "manual__2026-11-23T18:00:00+00:00", "group.task", 12),
        ),
        (f"dag/a/b/INV-1{NONCE}", ("dag", "a/b", "INV-1", -1)),
        (f"dag/run/me@example.com{NONCE}", ("dag", "run", "me@example.com", -1)),
    ],
)
def test_the_position_that_a_key_names(key, position):
    assert position_of(key) == position


def test_no_position_of_what_is_no_key():
    with pytest.raises(InvalidInputError, match="'users:42' is not a run key"):
        position_of("users:42")


def test_whose_an_instance_is_by_its_key():
    names = names_of(run_record(run_key=f"dag/run/INV-1{NONCE}"), "dag/run/task@")
    assert own_key([KEY], names) == KEY
    assert own_key([f"dag/run/INV-1{NONCE}"], names) == f"dag/run/INV-1{NONCE}"
    assert own_key([], names) is None
    for other in ("dag/run/task2", "dag/run2/task", "dag/run/task@example.com", "dag/run/INV-12"):
        with pytest.raises(InvalidInputError, match="the run of another task than dag/run/task@"):
            own_key([other + NONCE], names)


@pytest.mark.parametrize("phase", [Phase.INTENT, Phase.UNKNOWN, Phase.REFUSED, Phase.FORGOTTEN])
def test_adopt_what_is_not_known(phase):
    record = run_record(phase=phase, instance_id=None, deadline=1.0)
    made = adopted(record, instance(id="i2"), None, None, BY)
    assert made == record.but(phase=Phase.SUBMITTED, instance_id="i2", decisions=(BY,))
    # The clear that follows takes over, unless it asks for something else than what was submitted.
    assert decide(made, record.digest, CLEARED) is Step.TAKE_OVER
    assert decide(made, {"workflow": "bb"}, CLEARED) is Step.REFUSE_OTHER


@pytest.mark.parametrize("named", [State.FAILED, State.DEAD])
def test_adopt_in_place_of_a_failed_one_keeps_it_among_the_earlier(named):
    record = run_record(phase=Phase.ENDED, state=str(named), error="no funds", result={"instance_id": "i1"})
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
    record = run_record(phase=Phase.SUBMITTED, instance_id="i1")
    with pytest.raises(InvalidInputError, match=f"instance i1, {named or 'of which nothing is known'}; only one that"):
        adopted(record, instance(id="i2"), None, named, BY)


def test_who_adopted_the_wrong_one_can_correct_it():
    wrong = run_record(instance_id="i1", decisions=(Decision("adopt", "ann", "", "i1"),))
    made = adopted(wrong, instance(id="i2"), None, State.RUNNING, BY)
    assert (made.instance_id, [one.instance_id for one in made.earlier]) == ("i2", ["i1"])
    assert len(made.decisions) == 2


def test_adopt_is_refused_for_another_workflow():
    with pytest.raises(InvalidInputError, match="it is of workflow w2, and this task submitted workflow w1"):
        adopted(run_record(phase=Phase.UNKNOWN, instance_id=None), instance(id="i2", workflowID="w2"), None, None, BY)


def test_adopt_of_its_own_instance_changes_nothing():
    record = run_record(instance_id="i1")
    assert adopted(record, instance(id="i1"), None, State.RUNNING, BY) is record


def test_adopt_of_an_earlier_submission_takes_its_key_and_keeps_the_other():
    record = run_record(phase=Phase.UNKNOWN, instance_id=None)
    made = adopted(record, instance(id="i2"), "dag/run/task@ffffffffffffffff", None, BY)
    assert made.run_key == "dag/run/task@ffffffffffffffff"
    assert made.earlier == (Earlier(record.run_key, state="unknown"),)


@pytest.mark.parametrize(("key", "run_key"), [(KEY, KEY), (None, "dag/run/task@adopted")])
def test_a_record_for_a_task_that_has_none(key, run_key):
    made = record_for(instance(id="i2"), key, "dag/run/task@", 4, BY)
    assert (made.run_key, made.instance_id, made.workflow_id, made.generation) == (run_key, "i2", "w1", 4)
    # What was asked for is not known, so no clear asks for something else.
    assert decide(made, {"workflow": "aa"}, CLEARED) is Step.TAKE_OVER


@pytest.mark.parametrize("phase", [Phase.INTENT, Phase.UNKNOWN])
def test_forget_lets_a_clear_submit_again_and_keeps_the_key(phase):
    record = run_record(phase=phase, instance_id=None)
    made = forgotten(record, BY)
    assert made.phase is Phase.FORGOTTEN
    assert made.earlier == (Earlier(record.run_key, state="forgotten"),)
    assert made.decisions == (BY,)
    assert decide(record, record.digest, CLEARED) is Step.RECOVER
    assert decide(made, record.digest, CLEARED) is Step.SUBMIT
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
        forgotten(run_record(**fields), BY)
