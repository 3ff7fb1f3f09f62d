"""The only place that says running, succeeded, failed, canceled or dead."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_orchestration.run.definition import stages_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_orchestration.api.models import Instance, StageHistory


class State(enum.StrEnum):
    """What is known of an instance."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    #: Ended because it was asked to: a failure, which a person wanted.
    CANCELED = "canceled"
    #: Ended in the engine behind Flows, though Flows itself goes on saying that it runs.
    DEAD = "dead"


#: What a clear may replace: the instance is not at work, and has not done what it was for.
REPLACEABLE = (State.FAILED, State.CANCELED, State.DEAD)
#: The error of an instance that ended because it was asked to (flows-api, "Two generations of server").
_CANCELED = "canceled"


@dataclass(frozen=True)
class Outcome:
    """A state, and for a failure the stage (from 0) and the error."""

    state: State
    stage: int | None = None
    error: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state is not State.RUNNING


def judge(instance: Instance) -> Outcome:
    """
    Judge an instance as ``get_instance`` gave it (with its stages).

    Success is known only if it ended without an error *and* every stage of its definition ended without one: a
    server that one day honours an abort may well answer ``terminated`` without an error.
    """
    if not instance.terminated:
        return Outcome(State.RUNNING)
    failed = next((status for status in instance.status if status.error), None)
    if instance.error or failed:
        error = instance.error or (failed.error if failed else None)
        state = State.CANCELED if error == _CANCELED else State.FAILED
        return Outcome(state, failed.stage if failed else None, error)
    ended = {status.stage for status in instance.status if status.terminated_at is not None}
    expected = {stage.number for stage in stages_of(instance.workflow)} | {status.stage for status in instance.status}
    if instance.workflow is None:
        return Outcome(State.FAILED, None, "ended, but its definition is not known, so neither is its success")
    if missing := sorted(expected - ended):
        return Outcome(
            State.FAILED,
            missing[0],
            f"ended without an error, but stage {missing[0] + 1}/{len(expected)} did not end",
        )
    return Outcome(State.SUCCEEDED)


def sign_of_death(instance: Instance, history: Sequence[StageHistory]) -> Outcome | None:
    """
    Return a DEAD outcome where the history ended with an error while the instance is said to run, else None.

    That is how an instance looks that was cancelled in the engine (flows-api, "What bites", 9). An ordinary failure
    looks so for a moment too: believe it only when a later look shows the same.
    """
    if instance.terminated or not history:
        return None
    last = history[-1]
    if last.terminated and last.error:
        return Outcome(State.DEAD, len(history) - 1, last.error)
    return None
