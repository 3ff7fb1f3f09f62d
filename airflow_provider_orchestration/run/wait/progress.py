"""What changed between two looks at an instance, as log lines for a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_orchestration.run.definition import Stage, stages_of
from airflow_provider_orchestration.run.judge.stages import WAITING_KINDS, short, stage_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_orchestration.api.models import Instance, StageStatus
    from airflow_provider_orchestration.run.judge.stages import Attempt


@dataclass(slots=True)
class Progress:
    """
    Turns looks at one instance into log lines, each thing said once.

    A new Progress (after a take-over, or in the triggerer) says again where the instance stands.
    """

    _seen: dict[int, str] = field(default_factory=dict)
    _attempt: int = 0

    def lines(self, instance: Instance) -> list[str]:
        """Return a line for each stage that began or ended since the last look."""
        stages = stages_of(instance.workflow)
        lines = []
        for status in instance.status:
            word = _word(status, stages)
            if self._seen.get(status.stage) != word:
                self._seen[status.stage] = word
                self._attempt = 0
                lines.append(f"{stage_label(status.stage, stages)}: {word}")
        return lines

    def attempt_line(self, attempt: Attempt, stages: Sequence[Stage]) -> str | None:
        """Return a line for a failing attempt that has not been told yet, else None."""
        if attempt.number <= self._attempt:
            return None
        self._attempt = attempt.number
        then = f"; next try {attempt.next_try:%H:%M:%S}" if attempt.next_try else ""
        return f"{stage_label(attempt.stage, stages)}: attempt {attempt.number} failed: {short(attempt.failure)}{then}"


def _word(status: StageStatus, stages: Sequence[Stage]) -> str:
    if status.error:
        return f"failed: {short(status.error)}"
    if status.terminated_at is not None:
        seconds = (status.terminated_at - status.started_at).total_seconds()
        return f"done in {seconds:.1f} s"
    kind = stages[status.stage].kind if status.stage < len(stages) else ""
    return "waiting" if kind in WAITING_KINDS else "at work"
