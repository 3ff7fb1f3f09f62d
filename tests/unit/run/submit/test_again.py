"""The rules of a retry, a clear and a resume, as a table; and what must hold for every record."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.run.record import Earlier, Phase
from airflow_provider_orchestration.run.submit.again import Ask, Step, decide, other_ask
from tests.support.task_life import told
from tests.support.things import run_record

SAME, OTHER = Ask("w", None, {"amount": 1}), Ask("w", None, {"amount": 2})
RETRY, CLEAR, CLEAR_WITH_FEWER_RETRIES = 2, 5, 1


def own(generation: int, clear_number: int = 0) -> dict[str, int]:
    return {"generation": generation, "try_number": 2, "clear_number": clear_number}


# phase, state of an ended run, whether the same is asked, generation of the execution -> what it does
RULES = [
    # Nothing sent, proven not to have been accepted, or a person says that it does not count: submit.
    (Phase.BEGUN, None, SAME, RETRY, Step.SUBMIT),
    (Phase.BEGUN, None, SAME, CLEAR, Step.SUBMIT),
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


NEVER_ACCEPTED = (Phase.BEGUN, Phase.REFUSED)
NOTHING_COUNTS = (*NEVER_ACCEPTED, Phase.FORGOTTEN)


def name_of(rule: tuple[Any, ...]) -> str:
    phase, state, asked, generation, _ = rule
    ask = "same" if asked is SAME else "other"
    return f"{phase}-{state or 'no state'}-{ask}-{'retry' if generation == RETRY else f'clear {generation}'}"


@pytest.mark.parametrize(
    ("phase", "state", "asked", "generation", "step"), RULES, ids=[name_of(rule) for rule in RULES]
)
def test_rules(phase, state, asked, generation, step):
    known = {"instance_id": None} if phase in NEVER_ACCEPTED else {}
    record = run_record(phase=phase, state=state, digest=SAME.digest, generation=RETRY, **known)
    assert decide(record, asked, own(generation)) is step


def test_an_adopted_run_of_which_the_ask_is_not_known_is_not_refused_as_another():
    adopted = run_record(phase=Phase.SUBMITTED, digest={}, generation=RETRY)
    assert decide(adopted, SAME, own(CLEAR)) is Step.TAKE_OVER


MAPPED = {"mapped": True}
NAMED = {"named": True, "name": "INV-1"}
SUBMITTED_BEFORE = {"earlier": (Earlier("k0", "i0", "failed"),), "instance_id": None}


# What of an ask is another's, and what may be a correction: whether it may take the place of what was submitted.
@pytest.mark.parametrize(
    ("before", "now", "step"),
    [
        # A mapped task is a place in a list: another list may give it what is paid at another place.
        ((1, MAPPED), (1, MAPPED), Step.SUBMIT),
        ((1, MAPPED), (2, MAPPED), Step.REFUSE_OTHER),
        # With a name of its own the amount may be corrected, and only the name tells whose it is.
        ((1, MAPPED | NAMED), (2, MAPPED | NAMED), Step.SUBMIT),
        ((1, MAPPED | NAMED), (1, MAPPED | NAMED | {"name": "INV-2"}), Step.REFUSE_OTHER),
        ((1, NAMED), (2, NAMED), Step.SUBMIT),
        ((1, NAMED), (2, NAMED | {"name": "INV-2"}), Step.REFUSE_OTHER),
        ((1, NAMED), (1, {}), Step.REFUSE_OTHER),
        ((1, {}), (1, NAMED), Step.REFUSE_OTHER),
        # A task that is not mapped is the same one after each clear.
        ((1, {}), (2, {}), Step.SUBMIT),
    ],
)
@pytest.mark.parametrize(
    ("fields", "generation"),
    [
        ({"phase": Phase.ENDED, "state": "failed"}, CLEAR),
        ({"phase": Phase.ENDED, "state": "dead"}, CLEAR),
        ({"phase": Phase.REFUSED, **SUBMITTED_BEFORE}, CLEAR),
        # Not only after a clear of this very task: what gave the list may have been cleared.
        ({"phase": Phase.REFUSED, **SUBMITTED_BEFORE}, RETRY),
        ({"phase": Phase.FORGOTTEN, **SUBMITTED_BEFORE}, CLEAR),
    ],
)
def test_what_takes_the_place_of_a_failed_or_forgotten_run_must_be_the_same_payment(
    before, now, step, fields, generation
):
    def ask(amount: int, how: dict[str, Any]) -> Ask:
        return Ask("w", None, {"amount": amount}, **how)

    record = run_record(digest=ask(*before).digest, generation=RETRY, **fields)
    assert decide(record, ask(*now), own(generation)) is step


@pytest.mark.parametrize("phase", NEVER_ACCEPTED)
def test_where_nothing_was_ever_submitted_anything_may_be(phase):
    record = run_record(phase=phase, digest=SAME.digest, instance_id=None, generation=RETRY)
    assert decide(record, Ask("w", None, {"amount": 2}, mapped=True), own(CLEAR)) is Step.SUBMIT


@pytest.mark.parametrize(
    ("ask", "cleared", "said"),
    [
        (OTHER, True, "differs in variables.amount.*has not been paid.*restore.*new DAG run for it"),
        (OTHER, False, r"one try of this task asks for a second run.*map it \(`.expand`\)"),
        (
            Ask("w", None, {"amount": 2}, mapped=True),
            True,
            "a place in a mapped list is no identity.*restore the list.*new DAG run.*a run_key_name",
        ),
        (Ask("w", None, {str(n): n for n in range(20)}), True, "differs in variables.0, .* and 11 more"),
    ],
)
def test_the_message_names_what_differs_and_the_way_on(ask, cleared, said):
    error = other_ask(run_record(digest=SAME.digest), ask, cleared=cleared)
    assert re.search(said, told(error), re.DOTALL)
    assert "instance i1" in str(error)
    assert error.instance_id == "i1"


RECORDS = st.builds(
    run_record,
    phase=st.sampled_from(Phase),
    state=st.sampled_from([None, "succeeded", "failed", "dead"]),
    digest=st.sampled_from([SAME.digest, OTHER.digest, {}]),
    generation=st.integers(0, 3),
)


@given(RECORDS, st.sampled_from([SAME, OTHER]), st.integers(0, 3))
def test_what_may_be_at_work_or_paid_is_never_submitted_again(record, asked, generation):
    step = decide(record, asked, own(generation))
    if record.phase in (Phase.INTENT, Phase.UNKNOWN):
        assert step is Step.RECOVER
    if record.phase is Phase.SUBMITTED or record.state == "succeeded":
        assert step is not Step.SUBMIT or record.phase in NOTHING_COUNTS


@given(RECORDS, st.sampled_from([SAME, OTHER]))
def test_without_a_clear_what_was_ever_accepted_is_never_replaced(record, asked):
    step = decide(record, asked, own(record.generation))
    assert step is not Step.REFUSE_OTHER
    assert (step is Step.SUBMIT) is (record.phase in NOTHING_COUNTS)


@given(RECORDS, st.sampled_from([SAME, OTHER]), st.integers(0, 3))
def test_only_success_is_green_without_another_look(record, asked, generation):
    if decide(record, asked, own(generation)) is Step.ALREADY_SUCCEEDED:
        assert (record.phase, record.state) == (Phase.ENDED, "succeeded")


@pytest.mark.parametrize(
    ("phase", "state", "step"),
    [
        # What may have been cleared, though max_tries was not raised, is no plain retry ...
        (Phase.SUBMITTED, None, Step.REFUSE_OTHER),
        (Phase.ENDED, "succeeded", Step.REFUSE_OTHER),
        # ... and no proof of a clear: another task of the DAG run may have been cleared.
        (Phase.ENDED, "failed", Step.FAIL_AGAIN),
        (Phase.UNKNOWN, None, Step.RECOVER),
    ],
)
def test_a_clear_that_did_not_raise_max_tries(phase, state, step):
    record = run_record(phase=phase, state=state, digest=SAME.digest, generation=RETRY, clear_number=0)
    assert decide(record, OTHER, own(RETRY, clear_number=1)) is step
    if step is Step.REFUSE_OTHER:
        assert decide(record, SAME, own(RETRY, clear_number=1)) is not step
        assert decide(record.but(clear_number=-1), OTHER, own(RETRY, clear_number=1)) is not step, "an older record"
