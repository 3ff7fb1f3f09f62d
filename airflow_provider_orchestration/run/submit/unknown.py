"""A run whose submission got no answer and that was not found: what is told, and what a person can do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_orchestration.exceptions import UnknownRunError
from airflow_provider_orchestration.run.submit.recovery import Candidate, describe

if TYPE_CHECKING:
    from airflow_provider_orchestration.run.record import RunRecord


def unknown_run(record: RunRecord, candidates: Sequence[Candidate], trouble: str | None = None) -> UnknownRunError:
    """
    Return the error that names the key, the time, the candidates, and the three ways on.

    :param trouble: why the candidates could not be looked at again just now.
    """
    unread = f" (as far as is known: the last look failed, {trouble})" if trouble else ""
    why = "" if record.recoverable else "The workflow is not recoverable, so no look can prove whose an instance is. "
    return UnknownRunError(
        f"whether this task's run was submitted is not known (run key {record.run_key}, sent at "
        f"{datetime.fromtimestamp(record.intent_at, UTC):%Y-%m-%d %H:%M:%S} UTC). {why}Instances of workflow "
        f"{record.workflow_id} created since: {describe(candidates)}{unread}. It may still start later; nothing is "
        "submitted again by itself. What a person can do: clear the task to look again; or `airflow formance adopt` "
        "the instance that is this task's, then clear it; or, sure that nothing was submitted, `airflow formance "
        "forget` it, then clear it to submit again."
    )
