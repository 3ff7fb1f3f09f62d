"""
A later execution without a record: is there an instance that bears this task's key?

The first execution writes a record before anything else. So either the first one died before, and nothing was sent, or
a person removed the record: an instance that was submitted is found by its key then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import AlreadySubmittedError, FormanceError, RecordError
from airflow_provider_orchestration.run.definition import is_recoverable, shows_key_alone
from airflow_provider_orchestration.run.keys import (
    digest_of_all,
    is_of_position,
    mentions_position,
    position_name,
    read_run_key,
    run_keys_in,
)
from airflow_provider_orchestration.run.record import Phase, RunRecord
from airflow_provider_orchestration.run.submit.again import MAYBE_PAID_ELSEWHERE, NAME_EACH_RUN
from airflow_provider_orchestration.run.submit.recovery import Candidate, KeyScan, candidate_lines

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Workflow
    from airflow_provider_orchestration.run.submit.again import Ask

#: Seconds by which Airflow's clock may be ahead of that of Flows; a larger margin costs a few histories more.
CLOCKS_DIFFER = 3600.0


@dataclass(frozen=True)
class Orphan:
    """An instance that bears a run key of the task, and that no record names."""

    candidate: Candidate
    workflow_id: str
    run_key: str

    def check(self, ask: Ask) -> None:
        """
        Check that it is proven to be what is asked for: its position alone is not enough.

        :raises RecordError: it is not.
        """
        key = read_run_key(self.run_key)
        if (key.name, key.digest) != (ask.name, digest_of_all(ask.digest)):
            raise RecordError(
                f"instance {self.candidate.instance_id} bears this task's key, but is not proven to be what is asked "
                "for now; nothing was sent",
                instance_id=self.candidate.instance_id,
                details=(
                    *candidate_lines("there is no record of an earlier try, but an instance:", [self.candidate]),
                    f"it bears run key {self.run_key} of this task",
                    "restore what was asked for and clear again; or pay what is still unpaid in a new DAG run",
                ),
            )

    def as_record(self, digest: dict[str, str], own: Mapping[str, Any], deadline: float | None) -> RunRecord:
        """Return the record that the task would have of it."""
        return RunRecord(
            run_key=self.run_key,
            workflow_id=self.workflow_id,
            digest=digest,
            **own,
            phase=Phase.SUBMITTED,
            intent_at=self.candidate.created,
            recoverable=True,
            deadline=deadline,
            instance_id=self.candidate.instance_id,
        )


def began_at(dag_run: Any) -> float:
    """
    Return the epoch second before which nothing can have been submitted by a DAG run.

    What is older and bears its name is of a run that was deleted and made again. A clear moves the start, so a run that
    was ever cleared may be as old as its schedule. (So does setting it to queued by hand, which nothing tells: a person
    who does that and removes the record, too, has it submitted again.)
    """
    if dag_run.start_date is None:
        return float(dag_run.run_after.timestamp())
    started = float(dag_run.start_date.timestamp())
    return started if dag_run.clear_number == 0 else min(started, float(dag_run.run_after.timestamp()))


def find_orphan(client: FlowsClient, workflows: Sequence[Workflow], position: str, since: float) -> Orphan | None:
    """
    Return the instance that bears a run key of a task: one that runs before one that has ended, a newer first.

    :param workflows: all that it may be an instance of: a name can have been deployed anew.
    :param position: from :func:`~.keys.position_name`.
    :param since: epoch seconds of the beginning of the DAG run, by Airflow's clock.
    :raises FormanceError: the stack, or a history that could be the one, cannot be read now.
    :raises RecordError: a workflow shows the key within a longer text only, so that what is found there may be the end
        of another task's.
    """
    mine: list[Orphan] = []
    undecided: list[Candidate] = []
    for workflow, candidates in _scan(client, list(filter(is_recoverable, workflows)), since):
        found = [one for one in _keyed(workflow, candidates) if is_of_position(one.run_key, position)]
        bearing = [one for one in candidates if mentions_position(one.texts or (), position)]
        if bearing and not found and not shows_key_alone(workflow):
            raise RecordError(
                "there is no record of an earlier try, and instances that may be this task's; nothing was sent",
                details=(
                    *candidate_lines("each of these instances may be this task's:", bearing),
                    "adopt the right one with `airflow formance adopt`, then clear the task",
                ),
            )
        mine += found
        undecided += _undecided(candidates)
    if undecided and not mine:
        raise FormanceError(
            "whether an earlier try submitted cannot be told yet; nothing was sent",
            details=candidate_lines("it may have been one of these:", undecided),
        )
    return max(mine, key=lambda one: (not one.candidate.terminated, one.candidate.created), default=None)


def check_not_elsewhere(
    client: FlowsClient,
    workflows: Sequence[Workflow],
    position: str,
    digest: Mapping[str, str],
    name: str | None,
    since: float,
) -> None:
    """
    Check that no other place of a mapped list has submitted what is asked for at this one.

    :param workflows: as of :func:`find_orphan`, as are ``position`` and ``since``.
    :param digest: of what is asked for.
    :param name: its ``run_key_name``, where that has moved here; None where it stood here before.
    :raises AlreadySubmittedError: one has; or no instance of the workflow shows whose it is.
    :raises FormanceError: the stack, or a history that could be the one, cannot be read now.
    """
    if not all(map(shows_key_alone, workflows)):
        raise AlreadySubmittedError(
            "whether what is asked for was paid at another place of the list cannot be told; nothing was submitted",
            details=(
                "this task was cleared and now asks for something else than before",
                "no text of the workflow's first stage is the run key alone, so no instance shows whose it is",
                *MAYBE_PAID_ELSEWHERE,
                NAME_EACH_RUN,
            ),
        )
    task, undecided = position.rpartition("[")[0], []
    for workflow, candidates in _scan(client, workflows, since):
        for one in _keyed(workflow, candidates):
            key = read_run_key(one.run_key)
            same_task = position_name(key.dag_id, key.run_id, key.task_id, -1) == task
            same = key.digest == digest_of_all(digest) or (name is not None and key.name == name)
            if same_task and key.position != position and same:
                raise AlreadySubmittedError(
                    f"this task asks for what was submitted at another place of its list, as instance "
                    f"{one.candidate.instance_id}; nothing was submitted",
                    instance_id=one.candidate.instance_id,
                    details=(
                        *candidate_lines("this task was cleared; the instance of the other place:", [one.candidate]),
                        f"its run key: {one.run_key}",
                        *MAYBE_PAID_ELSEWHERE,
                        NAME_EACH_RUN,
                    ),
                )
        undecided += _undecided(candidates)
    if undecided:
        raise FormanceError(
            "whether it was submitted at another place cannot be told yet; nothing was sent",
            details=candidate_lines("it may have been one of these:", undecided),
        )


def unproven_since(
    client: FlowsClient, workflows: Sequence[Workflow], since: float
) -> tuple[Workflow, list[Candidate]] | None:
    """
    Return the instances since a DAG run began of which no history shows whose they are, and their workflow.

    It shows no run keys, or the engine has forgotten the histories. Of several workflows that of the newest instance.
    """
    found = [
        (workflow, unproven)
        for workflow, candidates in _scan(client, workflows, since)
        if (unproven := [one for one in candidates if one.forgotten or not is_recoverable(workflow)])
    ]
    return max(found, key=lambda one: max(candidate.created for candidate in one[1]), default=None)


def _scan(
    client: FlowsClient, workflows: Sequence[Workflow], since: float
) -> Iterator[tuple[Workflow, Sequence[Candidate]]]:
    for workflow in workflows:
        scanned = KeyScan().scan(client, workflow.id, since - CLOCKS_DIFFER, retries=None)
        if scanned.error is not None:
            raise FormanceError(f"what was submitted before cannot be looked up: {scanned.error}; nothing was sent")
        yield workflow, scanned.candidates


def _keyed(workflow: Workflow, candidates: Sequence[Candidate]) -> list[Orphan]:
    return [Orphan(one, workflow.id, key) for one in candidates for key in run_keys_in(one.texts)]


def _undecided(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [one for one in candidates if one.texts is None and not one.forgotten]
