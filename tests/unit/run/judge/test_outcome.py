"""Running, succeeded, failed or dead: success is only what is known to be success."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.api.models import Instance, StageHistory
from airflow_provider_orchestration.run.judge.outcome import Outcome, State, judge, sign_of_death
from tests.support.flows import delay, send, wait_event
from tests.support.recorded import recorded
from tests.support.things import history, instance, status

STAGES = (send(), wait_event("ok"), delay(1))

# What became of the instances of the record, told by the number of the answer.
FAILED = {"110": "no amount defined", "125": "Key: 'Delay.duration'", "128": "Key: 'WaitEvent.Event'"}
SUCCEEDED = {"35", "72", "81", "95", "99", "105", "120", "131", "135", "138", "148", "192", "201"}


@pytest.mark.parametrize(("case", "answer"), recorded(Instance).items(), ids=lambda part: part or "")
def test_recorded_instances(case, answer):
    number = case.partition(" ")[0]
    outcome = judge(answer)
    if number in FAILED:
        assert outcome.state is State.FAILED
        assert outcome.stage == 0
        assert (outcome.error or "").startswith(FAILED[number])
    else:
        assert outcome.state is (State.SUCCEEDED if number in SUCCEEDED else State.RUNNING)
        assert (outcome.stage, outcome.error) == (None, None)
    assert outcome.ended is answer.terminated


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        # It runs, whatever its stages say.
        (instance(stages=STAGES), Outcome(State.RUNNING)),
        (instance(status(0, error="no"), stages=STAGES), Outcome(State.RUNNING)),
        (instance(status(0), stages=None), Outcome(State.RUNNING)),
        # It failed, where any word says so.
        (
            instance(status(0, ended=True), status(1, error="boom"), stages=STAGES, terminated=True, error="boom"),
            Outcome(State.FAILED, 1, "boom"),
        ),
        (instance(status(0, error="boom"), stages=STAGES, terminated=True), Outcome(State.FAILED, 0, "boom")),
        (instance(stages=STAGES, terminated=True, error="before any"), Outcome(State.FAILED, None, "before any")),
        (instance(stages=None, terminated=True, error="boom"), Outcome(State.FAILED, None, "boom")),
        # It was asked to end: at a delay, or, with its stage ended as if all were well, at an event (recorded).
        (
            instance(status(0, error="canceled"), stages=STAGES, terminated=True, error="canceled"),
            Outcome(State.CANCELED, 0, "canceled"),
        ),
        (
            instance(status(0, ended=True), stages=STAGES, terminated=True, error="canceled"),
            Outcome(State.CANCELED, None, "canceled"),
        ),
        # It ended without an error, but not as one that has done its work.
        (
            instance(status(0, ended=True), status(1), stages=STAGES, terminated=True),
            Outcome(State.FAILED, 1, "ended without an error, but stage 2/3 did not end"),
        ),
        (
            instance(stages=STAGES, terminated=True),
            Outcome(State.FAILED, 0, "ended without an error, but stage 1/3 did not end"),
        ),
        (
            instance(status(0, ended=True), stages=None, terminated=True),
            Outcome(State.FAILED, None, "ended, but its definition is not known, so neither is its success"),
        ),
        # An empty error is none, as the server has it of those that succeeded.
        (
            instance(*(status(number, ended=True) for number in range(3)), stages=STAGES, terminated=True, error=""),
            Outcome(State.SUCCEEDED),
        ),
        (instance(terminated=True), Outcome(State.SUCCEEDED)),
    ],
)
def test_judgement(found, outcome):
    assert judge(found) == outcome


@given(
    st.booleans(),
    st.none() | st.just("") | st.just("boom"),
    st.lists(st.sampled_from(["runs", "ended", "error"]), max_size=4),
    st.none() | st.integers(0, 4),
)
def test_success_needs_every_proof(terminated, error, stages, expected):
    found = instance(
        *(status(n, ended=how == "ended", error="no" if how == "error" else None) for n, how in enumerate(stages)),
        stages=None if expected is None else (delay(1),) * expected,
        terminated=terminated,
        error=error,
    )
    proven = terminated and not error and set(stages) <= {"ended"} and expected is not None and len(stages) >= expected
    assert (judge(found).state is State.SUCCEEDED) is proven
    assert judge(found).ended is terminated


@pytest.mark.parametrize(
    ("found", "told", "outcome"),
    [
        (instance(), [history(ended=True), history(error="canceled")], Outcome(State.DEAD, 1, "canceled")),
        (instance(), [history(error="canceled")], Outcome(State.DEAD, 0, "canceled")),
        (instance(), [history(ended=True)], None),
        (instance(), [history()], None),
        (instance(), [], None),
        (instance(), [history(error="no"), history()], None),  # only how it ends tells
        (instance(terminated=True, error="x"), [history(error="x")], None),
    ],
)
def test_the_sign_of_death(found, told, outcome):
    assert sign_of_death(found, told) == outcome


def test_recorded_histories_show_death_where_it_was_made():
    running = recorded(Instance)["213 instance after cancel of its main in the engine"]
    signs = {case: sign_of_death(running, told) for case, told in recorded(list[StageHistory]).items()}
    assert signs["214 history"] == Outcome(State.DEAD, 0, "canceled")
    # A terminated one shows nothing, and a failed one looks so until its row says that it has ended.
    assert signs["208 history"] is None
    assert {case for case, sign in signs.items() if sign} == {"111 h", "214 history"}
