"""What is told of an instance, each thing once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_orchestration.api.models import Activity, Instance
from airflow_provider_orchestration.run.definition import stages_of
from airflow_provider_orchestration.run.judge.outcome import Outcome, State, judge
from airflow_provider_orchestration.run.judge.stages import (
    Attempt,
    current_stage,
    failing_attempt,
    failure,
    may_be_stuck,
    short,
    stage_label,
)
from airflow_provider_orchestration.run.wait.progress import Progress
from tests.support.flows import delay, send, wait_event
from tests.support.recorded import recorded
from tests.support.things import activity, instance, status, workflow

STAGES = (send(), wait_event("approved"), delay(8))
FUNDS = (
    "unexpected error while forging log: failed to execute program: failed to execute machine: account(s) @poor "
    "had/have insufficient funds"
)
NEXT = "2026-11-23T18:05:22.017194054Z"


def test_each_thing_is_told_once():
    progress = Progress()
    assert progress.lines(instance(stages=STAGES)) == []
    assert progress.lines(instance(status(0), stages=STAGES)) == ["stage 1/3 send: at work"]
    assert progress.lines(instance(status(0), stages=STAGES)) == []
    second = instance(status(0, ended=True), status(1), stages=STAGES)
    assert progress.lines(second) == [
        "stage 1/3 send: done in 8.4 s",
        "stage 2/3 wait_event 'approved': waiting",
    ]
    assert progress.lines(second) == []
    # Two stages can pass between two looks.
    last = instance(status(0, ended=True), status(1, ended=True), status(2, error="no\nway"), stages=STAGES)
    assert progress.lines(last) == [
        "stage 2/3 wait_event 'approved': done in 8.4 s",
        "stage 3/3 delay 8000ms: failed: no way",
    ]


def test_who_takes_over_is_told_where_it_stands():
    found = instance(status(0, ended=True), status(1), stages=STAGES)
    assert Progress().lines(found) == Progress().lines(found) != []


def test_stages_that_the_definition_does_not_have_are_told_all_the_same():
    assert Progress().lines(instance(status(0), status(4), stages=None)) == ["stage 1/1: at work", "stage 5/5: at work"]


@pytest.mark.parametrize(
    ("found", "stage"),
    [
        (instance(stages=STAGES), None),
        (instance(status(0), stages=STAGES), 0),
        (instance(status(0, ended=True), stages=STAGES), None),
        (instance(status(0, ended=True), status(1), stages=STAGES), 1),
        (instance(status(0, error="x"), stages=STAGES), None),
    ],
)
def test_the_current_stage(found, stage):
    assert current_stage(found) == stage


@pytest.mark.parametrize(("stage", "stuck"), [(0, True), (1, False), (2, False), (3, True)])
def test_what_waits_by_its_nature_is_not_stuck(stage, stuck):
    assert may_be_stuck(instance(stages=STAGES), stage) is stuck


def test_recorded_stage_histories():
    failing = {case: failing_attempt(0, told) for case, told in recorded(list[Activity]).items()}
    assert {case for case, attempt in failing.items() if attempt} == {
        "103 sh",  # a ledger that is not there
        "117 sh",  # no funds
        "149 overdraft stage history later",
    }
    assert failing["149 overdraft stage history later"] == Attempt(
        0, 6, FUNDS, datetime(2026, 11, 23, 18, 5, 22, 17194, UTC)
    )
    assert failing["103 sh"] == Attempt(0, 2, "not found", datetime(2026, 11, 23, 18, 4, 12, 525800, UTC))


@pytest.mark.parametrize(
    ("told", "number"),
    [
        ({"attempt": 4, "lastFailure": "x", "nextExecution": NEXT}, 3),
        # The fourth is being made: it is the third that failed.
        ({"attempt": 4, "lastFailure": "x"}, 3),
        ({"attempt": 1, "lastFailure": "x"}, 1),
        ({"lastFailure": "x"}, 1),
    ],
)
def test_the_attempt_that_failed_is_the_one_before_the_current(told, number):
    attempt = failing_attempt(2, [activity(terminated=True, attempt=1), activity(**told)])
    assert attempt is not None
    assert (attempt.stage, attempt.number) == (2, number)


@pytest.mark.parametrize(
    "told",
    [
        {"attempt": 1},
        {"attempt": 3, "lastFailure": ""},
        {"attempt": 3, "lastFailure": "x", "terminated": True},
    ],
)
def test_what_does_not_fail_is_no_failing_attempt(told):
    assert failing_attempt(0, [activity(**told)]) is None
    assert failing_attempt(0, []) is None


def test_each_attempt_is_told_once_and_anew_in_the_next_stage():
    progress = Progress()
    stages = stages_of(workflow(*STAGES))
    attempt = failing_attempt(0, [activity(attempt=5, lastFailure=FUNDS, nextExecution=NEXT)])
    assert attempt is not None
    line = "stage 1/3 send: attempt 4 failed: account(s) @poor had/have insufficient funds; next try 18:05:22"
    assert progress.attempt_line(attempt, stages) == line
    assert progress.attempt_line(attempt, stages) is None
    assert progress.attempt_line(Attempt(0, 3, "late", None), stages) is None
    assert progress.attempt_line(Attempt(0, 5, "x", None), stages) == "stage 1/3 send: attempt 5 failed: x"
    progress.lines(instance(status(0, ended=True), status(1), stages=STAGES))
    assert progress.attempt_line(Attempt(1, 1, "x", None), stages) is not None


@pytest.mark.parametrize(
    ("number", "stages", "label"),
    [
        (None, STAGES, "no stage"),
        (0, STAGES, "stage 1/3 send"),
        (1, STAGES, "stage 2/3 wait_event 'approved'"),
        (2, (), "stage 3/3"),
    ],
)
def test_labels(number, stages, label):
    assert stage_label(number, stages_of(workflow(*stages))) == label


@pytest.mark.parametrize(
    ("long", "text"),
    [
        (FUNDS, "account(s) @poor had/have insufficient funds"),
        ("not found", "not found"),
        (" two\n lines ", "two lines"),
        ("", ""),
    ],
)
def test_an_error_in_short(long, text):
    assert short(long) == text


def test_a_failure_names_stage_and_error_on_one_line():
    answers = recorded(Instance)
    missing, empty = answers["110 send missing var"], answers["125 delay empty"]
    assert failure(missing, judge(missing)) == "stage 1/1 send: no amount defined"
    assert failure(empty, judge(empty)).startswith("stage 1/1 delay: Key: 'Delay.duration' Error:Field validation")
    assert "\n" not in failure(empty, judge(empty))
    assert failure(instance(), Outcome(State.FAILED)) == "no error given"
