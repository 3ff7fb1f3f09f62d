"""
Which stage takes an event, and whether it did.

Flows answers 204 and loses an event that no stage is listening for (flows-api, "What bites", 6): so the stage is found
first, and its end is the only proof that it took the event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_orchestration.run.definition import Stage, stages_of
from airflow_provider_orchestration.run.judge.outcome import Outcome, State, judge
from airflow_provider_orchestration.run.judge.stages import current_stage, stage_label
from airflow_provider_orchestration.run.wait.watch import Look, Verdict, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_orchestration.api.models import Instance, StageHistory


def event_of_stage(instance: Instance, stage: int, history: Sequence[StageHistory] | None) -> str | None:
    """
    Return the event that a stage waits for: None for other kinds, and ``""`` where a variable hides it.

    A stage that has begun shows the name with its variables filled in only in the history.
    """
    if history is not None and stage < len(history) and history[stage].name == "RunWaitEvent":
        return str(history[stage].input.get("event") or "")
    stages = stages_of(instance.workflow)
    return _event_of(stages[stage]) if stage < len(stages) else None


def _event_of(stage: Stage) -> str | None:
    return "" if stage.event is not None and "${" in stage.event else stage.event


def stages_to_come(instance: Instance, after: int, event: str) -> list[int]:
    """Return the stages after one that wait for this event, or may do so (a variable hides the name)."""
    return [stage.number for stage in stages_of(instance.workflow)[after + 1 :] if _event_of(stage) in (event, "")]


def stage_ended(instance: Instance, stage: int) -> bool:
    """Tell whether a stage ended, and without an error."""
    return any(one.stage == stage and one.terminated_at is not None and not one.error for one in instance.status)


def took_event(instance: Instance, outcome: Outcome, stage: int) -> bool | None:
    """
    Tell whether a stage took the event that it waited for; None while it cannot be told.

    One whose run was asked to cancel ends without an error when its event comes, and the run ends as canceled a moment
    later, without another stage (flows-api, "Two generations of server").
    """
    if not stage_ended(instance, stage):
        return None
    if any(one.stage > stage for one in instance.status):
        return True
    return outcome.state is not State.CANCELED if outcome.ended else None


@dataclass(slots=True)
class EventWatch(Watch):
    """Watches until a stage waits for the event: the verdict is ``ready`` with that stage, or says why none will."""

    reads_always: ClassVar[bool] = True

    event: str = ""

    @property
    def wants_history(self) -> bool:
        """Always: only a full look tells the stage."""
        return True

    def _judge(self, instance: Instance, look: Look) -> Verdict | None:
        for line in self._progress.lines(instance):
            self.log.info("%s", line)
        outcome = judge(instance)
        if outcome.ended:
            return Verdict("ended", self.instance_id, outcome.stage, f"it has {outcome.state}")
        stage = current_stage(instance)
        begun = max((one.stage for one in instance.status), default=-1)
        if stage is not None and event_of_stage(instance, stage, look.history) == self.event:
            return Verdict("ready", self.instance_id, stage)
        hidden = stage is not None and event_of_stage(instance, stage, look.history) == ""
        if not hidden and not stages_to_come(instance, begun, self.event):
            at = stage_label(begun if begun >= 0 else None, stages_of(instance.workflow))
            return Verdict("never", self.instance_id, stage, f"it is at {at}, and no later stage waits for it")
        return self._dead(instance, look, self.clock())


def ways_to_stop(instance: Instance) -> tuple[str, ...]:
    """Return what is known of an instance that goes on after it was asked to end, and what a person can do."""
    by_force = "to stop it, end it in the engine behind Flows (Temporal)"
    stage = current_stage(instance)
    event = None if stage is None else event_of_stage(instance, stage, None)
    if event is None:
        return (f"Flows 2.6 ignores such requests: {by_force}",)
    named = f" {event!r}" if event else ""
    return (
        f"it waits for event{named}: the next server ends it as canceled when that event comes, and not before",
        "the event is not sent here: Flows 2.6 ignores the request, and would go on to the next stage",
        by_force,
    )
