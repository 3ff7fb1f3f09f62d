"""Where an instance stands: its present stage, what fails there, and how both are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_orchestration.run.definition import Stage, stages_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_provider_orchestration.api.models import Activity, Instance
    from airflow_provider_orchestration.run.judge.outcome import Outcome

WAITING_KINDS = ("wait_event", "delay")


@dataclass(frozen=True)
class Attempt:
    """A stage that Flows tries again without end: which attempt failed, with what, and when the next comes."""

    stage: int
    number: int
    failure: str
    next_try: datetime | None


def current_stage(instance: Instance) -> int | None:
    """Return the number of the stage that has begun and not ended; None before the first, between two, at the end."""
    for status in reversed(instance.status):
        if status.terminated_at is None:
            return status.stage
    return None


def may_be_stuck(instance: Instance, stage: int) -> bool:
    """Tell whether the stage is of a kind that Flows can retry without end (not one that waits by its nature)."""
    stages = stages_of(instance.workflow)
    return stage >= len(stages) or stages[stage].kind not in WAITING_KINDS


def failing_attempt(stage: int, activities: Sequence[Activity]) -> Attempt | None:
    """
    Return the failing attempt that a stage history tells of, or None.

    Insufficient funds or a missing ledger show nowhere else (flows-api, "What bites", 7).
    """
    for activity in activities:
        if not activity.terminated and activity.last_failure:
            # `attempt` is the one that comes next, or is being made; the failure is that of the one before.
            failed = max(1, activity.attempt - 1)
            return Attempt(stage, failed, activity.last_failure, activity.next_execution)
    return None


def stage_label(number: int | None, stages: Sequence[Stage]) -> str:
    """Return e.g. ``stage 2/3 wait_event 'approved'``."""
    if number is None:
        return "no stage"
    kind = f" {stages[number]}" if number < len(stages) else ""
    return f"{stage_number(number, len(stages))}{kind}"


def stage_number(number: int, of: int | None) -> str:
    """Return e.g. ``stage 2/3``, or ``stage 2`` where it is not known how many there are."""
    return f"stage {number + 1}" + ("" if of is None else f"/{max(of, number + 1)}")


def failure(instance: Instance, outcome: Outcome) -> str:
    """Return stage and error of an instance that did not succeed, e.g. ``stage 1/3 send: no amount defined``."""
    stages = stages_of(instance.workflow)
    where = f"{stage_label(outcome.stage, stages)}: " if outcome.stage is not None else ""
    return f"{where}{short(outcome.error or 'no error given')}"


def short(failure: str) -> str:
    """Return the last and telling part of a nested Go error, on one line."""
    return " ".join(failure.split()).rsplit("failed to execute machine: ", 1)[-1]
