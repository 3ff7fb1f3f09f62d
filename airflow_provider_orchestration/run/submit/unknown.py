"""A run whose submission got no answer and that was not found: what is told, and what a person can do."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import UnknownRunError
from airflow_provider_orchestration.run.submit.recovery import Candidate, candidate_lines
from airflow_provider_orchestration.run.words import wrapped

if TYPE_CHECKING:
    from airflow_provider_orchestration.run.record import RunRecord


def unknown_run(
    record: RunRecord, ti: Any, candidates: Sequence[Candidate], *, conn_id: str, trouble: str | None = None
) -> UnknownRunError:
    """
    Return the error whose details tell the key, the time, the candidates, and the three ways on, with their commands.

    :param ti: the task instance of the context.
    :param conn_id: the Airflow connection of the stack.
    :param trouble: why the candidates could not be looked at again just now.
    """
    sent_at = datetime.fromtimestamp(record.intent_at, UTC)
    why = () if record.recoverable else ("the workflow is not recoverable: no look can prove whose an instance is",)
    unread = () if trouble is None else wrapped(f"as far as is known; the last look failed: {trouble}")
    chosen = candidates[0].instance_id if len(candidates) == 1 else "INSTANCE_ID"
    return UnknownRunError(
        "whether this task's run was submitted is not known",
        details=(
            f"a run may have been submitted at {sent_at:%Y-%m-%d %H:%M:%S} UTC, and may still start later",
            "nothing is submitted again by itself; the run key is:",
            record.run_key,
            *why,
            *candidate_lines(f"instances of workflow {record.workflow_id} created since:", candidates),
            *unread,
            "What a person can do: clear the task to look again",
            "or adopt the instance that is this task's, then clear the task to take it over:",
            command_line("adopt", ti, conn_id, "--instance-id", chosen),
            "or, sure that nothing was submitted, forget it, then clear to submit again:",
            command_line("forget", ti, conn_id),
        ),
    )


def command_line(command: str, ti: Any, conn_id: str, *more: str) -> str:
    """Return a command about a task (``adopt``, ``forget``) as it can be pasted into a shell."""
    mapped = ("--map-index", str(ti.map_index)) if ti.map_index >= 0 else ()
    conn = ("--conn-id", conn_id) if conn_id != "formance_default" else ()
    return shlex.join(["airflow", "formance", command, ti.dag_id, ti.run_id, ti.task_id, *mapped, *more, *conn])
