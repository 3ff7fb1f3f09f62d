"""What an execution does first, by the record: the rules of a retry, a clear and a resume."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_orchestration.exceptions import AlreadySubmittedError
from airflow_provider_orchestration.run.record import Phase, RunRecord, differing, digest_of


@dataclass(frozen=True)
class Ask:
    """What a task asks for, as its operator was given it."""

    workflow_id: str | None
    workflow_name: str | None
    variables: Mapping[str, Any] | None
    run_timeout: float | None = None
    run_key_name: str | None = None

    @property
    def digest(self) -> dict[str, str]:
        """
        A short hash of each thing asked for.

        It takes the workflow as the DAG names it: a workflow deployed anew under its name is no other ask.
        """
        variables: object = {} if self.variables is None else self.variables
        if not isinstance(variables, Mapping):
            variables = {"": variables}
        return digest_of(self.workflow_id or self.workflow_name or "", variables)


class Step(enum.Enum):
    """What an execution does first, by the record."""

    SUBMIT = "submit"
    RECOVER = "recover"
    TAKE_OVER = "take over"
    ALREADY_SUCCEEDED = "already succeeded"
    FAIL_AGAIN = "fail again"
    #: After a clear, something else is asked for than what was paid.
    REFUSE_OTHER = "refuse other"


def other_ask(record: RunRecord, fields: str, *, cleared: bool) -> AlreadySubmittedError:
    """Return the error of an execution that asks for something else than what its task has submitted."""
    other = f"it differs in {fields}. What is now asked for has not been paid, and nothing was submitted."
    if cleared:
        text = (
            f"this task was cleared and now asks for something else than what instance {record.instance_id} was "
            f"submitted for; {other} Start a new DAG run for it, or restore the values and clear again."
        )
    else:
        text = (
            f"one try of this task asks for a second run, after instance {record.instance_id or '(not known yet)'}; "
            f"{other} A task has one run: map it (`.expand`), or use further tasks."
        )
    return AlreadySubmittedError(text, instance_id=record.instance_id)


def decide(record: RunRecord, digest: Mapping[str, str], generation: int) -> Step:
    """
    Decide what to do, by what is known of earlier executions.

    - Only begun, proven to be refused, or forgotten by a person's decision: submit.
    - Sent, and whether it was accepted is not known: recover; never submit.
    - Failed: only a clear submits anew, because the first stages may have moved money. An instance that fails *after*
      a clear took it over is not replaced: who takes over writes its own generation.
    - At work or succeeded: take it over. After a clear that asks for something else, refuse: that has not been paid.

    :param generation: ``ti.max_tries``; it differs (``!=``: it can shrink) from the record's after a clear only.
    """
    if record.phase in (Phase.BEGUN, Phase.REFUSED, Phase.FORGOTTEN):
        return Step.SUBMIT
    if record.phase in (Phase.INTENT, Phase.UNKNOWN):
        return Step.RECOVER
    cleared = record.generation != generation
    failed = record.phase is Phase.ENDED and record.state != "succeeded"
    if failed:
        return Step.SUBMIT if cleared else Step.FAIL_AGAIN
    if cleared and differing(record.digest, digest):
        return Step.REFUSE_OTHER
    return Step.ALREADY_SUCCEEDED if record.phase is Phase.ENDED else Step.TAKE_OVER
