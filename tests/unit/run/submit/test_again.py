"""The rules of a retry, a clear and a resume, as a table; and what must hold for every record."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.run.record import Phase
from airflow_provider_orchestration.run.submit.again import Step, decide
from tests.support.things import run_record

SAME = {"workflow": "aa", "variables.amount": "bb"}
OTHER = {"workflow": "aa", "variables.amount": "cc"}
RETRY, CLEAR, CLEAR_WITH_FEWER_RETRIES = 2, 5, 1

# phase, state of an ended run, whether the same is asked, generation of the execution -> what it does
RULES = [
    # Nothing sent, proven not to have been accepted, or a person says that it does not count: submit.
    (Phase.BEGUN, None, {}, RETRY, Step.SUBMIT),
    (Phase.BEGUN, None, {}, CLEAR, Step.SUBMIT),
    (Phase.REFUSED, None, SAME, RETRY, Step.SUBMIT),
    (Phase.REFUSED, None, OTHER, RETRY, Step.SUBMIT),
    (Phase.REFUSED, None, SAME, CLEAR, Step.SUBMIT),
    (Phase.REFUSED, None, OTHER, CLEAR, Step.SUBMIT),
    (Phase.FORGOTTEN, None, SAME, RETRY, Step.SUBMIT),
    (Phase.FORGOTTEN, None, OTHER, CLEAR, Step.SUBMIT),
    # Sent, and nobody knows: look again, for ever; a clear submits nothing either.
    (Phase.INTENT, None, SAME, RETRY, Step.RECOVER),
    (Phase.INTENT, None, OTHER, RETRY, Step.RECOVER),
    (Phase.INTENT, None, SAME, CLEAR, Step.RECOVER),
    (Phase.INTENT, None, OTHER, CLEAR, Step.RECOVER),
    (Phase.UNKNOWN, None, SAME, RETRY, Step.RECOVER),
    (Phase.UNKNOWN, None, OTHER, RETRY, Step.RECOVER),
    (Phase.UNKNOWN, None, SAME, CLEAR, Step.RECOVER),
    (Phase.UNKNOWN, None, OTHER, CLEAR, Step.RECOVER),
    # At work: taken over; but what a person asks for anew has not been paid.
    (Phase.SUBMITTED, None, SAME, RETRY, Step.TAKE_OVER),
    (Phase.SUBMITTED, None, OTHER, RETRY, Step.TAKE_OVER),  # a template may hold the time of day
    (Phase.SUBMITTED, None, SAME, CLEAR, Step.TAKE_OVER),
    (Phase.SUBMITTED, None, SAME, CLEAR_WITH_FEWER_RETRIES, Step.TAKE_OVER),
    (Phase.SUBMITTED, None, OTHER, CLEAR, Step.REFUSE_OTHER),
    (Phase.SUBMITTED, None, OTHER, CLEAR_WITH_FEWER_RETRIES, Step.REFUSE_OTHER),
    # Succeeded: the same.
    (Phase.ENDED, "succeeded", SAME, RETRY, Step.ALREADY_SUCCEEDED),
    (Phase.ENDED, "succeeded", OTHER, RETRY, Step.ALREADY_SUCCEEDED),
    (Phase.ENDED, "succeeded", SAME, CLEAR, Step.ALREADY_SUCCEEDED),
    (Phase.ENDED, "succeeded", OTHER, CLEAR, Step.REFUSE_OTHER),
    (Phase.ENDED, "succeeded", OTHER, CLEAR_WITH_FEWER_RETRIES, Step.REFUSE_OTHER),
    # Failed, or dead in the engine: only a clear submits anew, also what was corrected.
    (Phase.ENDED, "failed", SAME, RETRY, Step.FAIL_AGAIN),
    (Phase.ENDED, "failed", OTHER, RETRY, Step.FAIL_AGAIN),
    (Phase.ENDED, "failed", SAME, CLEAR, Step.SUBMIT),
    (Phase.ENDED, "failed", SAME, CLEAR_WITH_FEWER_RETRIES, Step.SUBMIT),
    (Phase.ENDED, "failed", OTHER, CLEAR, Step.SUBMIT),
    (Phase.ENDED, "dead", SAME, RETRY, Step.FAIL_AGAIN),
    (Phase.ENDED, "dead", SAME, CLEAR, Step.SUBMIT),
    # What is not known to be success is none.
    (Phase.ENDED, None, SAME, RETRY, Step.FAIL_AGAIN),
    (Phase.ENDED, "of tomorrow", SAME, RETRY, Step.FAIL_AGAIN),
]


def name_of(rule: tuple[Any, ...]) -> str:
    phase, state, asked, generation, _ = rule
    ask = "same" if asked is SAME else "other"
    return f"{phase}-{state or 'no state'}-{ask}-{'retry' if generation == RETRY else f'clear {generation}'}"


@pytest.mark.parametrize(
    ("phase", "state", "asked", "generation", "step"), RULES, ids=[name_of(rule) for rule in RULES]
)
def test_rules(phase, state, asked, generation, step):
    record = run_record(phase=phase, state=state, digest=SAME, generation=RETRY)
    assert decide(record, asked, generation) is step


def test_an_adopted_run_of_which_the_ask_is_not_known_is_not_refused_as_another():
    adopted = run_record(phase=Phase.SUBMITTED, digest={}, generation=RETRY)
    assert decide(adopted, SAME, CLEAR) is Step.TAKE_OVER


NOTHING_COUNTS = (Phase.BEGUN, Phase.REFUSED, Phase.FORGOTTEN)
RECORDS = st.builds(
    run_record,
    phase=st.sampled_from(Phase),
    state=st.sampled_from([None, "succeeded", "failed", "dead"]),
    digest=st.sampled_from([SAME, OTHER, {}]),
    generation=st.integers(0, 3),
)


@given(RECORDS, st.sampled_from([SAME, OTHER]), st.integers(0, 3))
def test_what_may_be_at_work_or_paid_is_never_submitted_again(record, asked, generation):
    step = decide(record, asked, generation)
    if record.phase in (Phase.INTENT, Phase.UNKNOWN):
        assert step is Step.RECOVER
    if record.phase is Phase.SUBMITTED or record.state == "succeeded":
        assert step is not Step.SUBMIT or record.phase in NOTHING_COUNTS


@given(RECORDS, st.sampled_from([SAME, OTHER]))
def test_without_a_clear_what_was_ever_accepted_is_never_replaced(record, asked):
    step = decide(record, asked, record.generation)
    assert step is not Step.REFUSE_OTHER
    assert (step is Step.SUBMIT) is (record.phase in NOTHING_COUNTS)


@given(RECORDS, st.sampled_from([SAME, OTHER]), st.integers(0, 3))
def test_only_success_is_green_without_another_look(record, asked, generation):
    if decide(record, asked, generation) is Step.ALREADY_SUCCEEDED:
        assert (record.phase, record.state) == (Phase.ENDED, "succeeded")
