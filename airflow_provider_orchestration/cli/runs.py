"""``airflow formance runs``: which instance belongs to which task."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_orchestration.cli.airflow_api import AirflowApi, AirflowApiError, Task
from airflow_provider_orchestration.cli.shared import (
    candidate_as_json,
    command,
    flows_client,
    operators,
    state_of,
    write_json,
    write_line,
)
from airflow_provider_orchestration.exceptions import FormanceError, IncompleteListError, InvalidInputError, RecordError
from airflow_provider_orchestration.run.keys import read_run_key, run_keys_in
from airflow_provider_orchestration.run.record import Phase, RunRecord
from airflow_provider_orchestration.run.submit.recovery import CLOCK_MARGIN, KeyScan

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.run.submit.recovery import Candidate

_DEFAULT_SINCE = timedelta(days=7)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
#: Task states in which an execution has begun, so that a record is to be expected.
_BEGUN = ("success", "failed", "up_for_retry", "deferred", "up_for_reschedule")

_UNREADABLE = "unreadable"

#: DAG id, run id, task id, map index.
_Position = tuple[str, str, str, int]


@dataclass
class Row:
    """
    One run of one task; the fields of the JSON output, which do not change within a major version.

    - ``phase`` of the record (``begun``, ``intent``, ``refused``, ``submitted``, ``unknown``, ``ended``,
      ``forgotten``), or ``unreadable``; None: there is no record
    - ``instance_id``, and whence it is known as ``source``: ``record``, or ``history`` (the instance bears the run key)
    - ``instance_state``: ``running``, ``succeeded``, ``failed``, ``dead``; None where it is not known
    - ``candidates``: where no instance is known, those created since the submission
    - ``earlier`` submissions and ``decisions`` of people, as in the record
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    task_state: str | None = None
    phase: str | None = None
    workflow_id: str | None = None
    run_key: str | None = None
    #: ISO 8601, by the server's clock.
    submitted_at: str | None = None
    instance_id: str | None = None
    instance_state: str | None = None
    source: str | None = None
    candidates: list[dict[str, Any]] = field(default_factory=list)
    earlier: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    note: str | None = None

    def tell(self, record: RunRecord) -> None:
        """Take what the task's record says."""
        self.phase = str(record.phase)
        if record.phase is Phase.BEGUN:
            return
        self.workflow_id, self.run_key = record.workflow_id, record.run_key
        self.submitted_at = datetime.fromtimestamp(record.intent_at, UTC).isoformat()
        self.instance_id, self.instance_state = record.instance_id, record.state
        self.source = "record" if record.instance_id else None
        self.earlier = msgspec.to_builtins(record.earlier)
        self.decisions = msgspec.to_builtins(record.decisions)


@command
def runs(args: Namespace) -> None:
    """Print which instance belongs to which task."""
    if args.run_id and not args.dag_id:
        raise InvalidInputError(f"--run-id {args.run_id} needs --dag-id: run ids are unique within a DAG only")
    since = _since(args.since, datetime.now(UTC)) if args.since or not args.run_id else None
    api = AirflowApi.connect(args)
    tasks = list(api.tasks(args.dag_id, args.run_id, operators(args), since))
    since = since or min((task.run_after for task in tasks), default=datetime.now(UTC) - _DEFAULT_SINCE)
    found = _Found(api, args, since)
    for task in tasks:
        found.add_task(task)
    _look_at_stack(found, args.conn_id)
    rows = found.only_shown()
    if args.output == "json":
        write_json([msgspec.to_builtins(row) for row in rows])
    else:
        _print_table(rows)


@dataclass
class _Found:
    """What is found, task by task and instance by instance."""

    api: AirflowApi
    args: Namespace
    since: datetime
    tasks: dict[_Position, Row] = field(default_factory=dict)
    #: Instances that bear the run key of a task, and that its record does not name.
    strays: list[Row] = field(default_factory=list)
    #: Instances that a record names.
    owned: set[str] = field(default_factory=set)

    @property
    def rows(self) -> list[Row]:
        """All rows, by task."""
        return sorted(
            [*self.tasks.values(), *self.strays], key=lambda row: (row.dag_id, row.run_id, row.task_id, row.map_index)
        )

    def add_task(self, task: Task) -> None:
        """Add a task, with its record if it has one."""
        row = Row(task.dag_id, task.dag_run_id, task.task_id, task.map_index, task.state)
        self.tasks[row.dag_id, row.run_id, row.task_id, row.map_index] = row
        try:
            record = self.api.record(task)
        except RecordError as error:
            row.phase, row.note = _UNREADABLE, str(error)
            return
        if record is None:
            row.note = "no record"
        else:
            self.owned |= {record.instance_id or "", *(one.instance_id or "" for one in record.earlier)}
            row.tell(record)

    def add_instance(self, candidate: Candidate, instance: Instance) -> None:
        """Add what the run keys of an instance say, where no record names it."""
        for key in run_keys_in(candidate.texts):
            said = read_run_key(key)
            position = (said.dag_id, said.run_id, said.task_id, said.map_index)
            if self.args.dag_id not in (None, position[0]) or self.args.run_id not in (None, position[1]):
                continue
            if position not in self.tasks:
                self._look_for_task(position)
            if instance.id in self.owned:
                continue
            row = self.tasks.get(position)
            if row is None or row.phase is not None or row.instance_id is not None:
                row = _stray(position, row, key)
                self.strays.append(row)
            else:
                row.note = "no record names it, only its run key does"
            row.workflow_id, row.run_key, row.source = instance.workflow_id, key, "history"
            row.instance_id, row.submitted_at = instance.id, instance.created_at.isoformat()

    def _look_for_task(self, position: _Position) -> None:
        try:
            self.add_task(self.api.task(*position))
        except AirflowApiError as error:
            if error.status_code != 404:
                raise

    def only_shown(self) -> list[Row]:
        """Return the rows that the command asks for: without a record only those where one is to be expected."""
        return [
            row
            for row in self.rows
            if (row.phase or row.instance_id or row.task_state in _BEGUN)
            and self.args.workflow_id in (None, row.workflow_id)
        ]


def _stray(position: _Position, task: Row | None, key: str) -> Row:
    row = Row(*position)
    if task is None:
        row.note = "Airflow has no such task: the run key is of another Airflow, or of a task or DAG run that is gone"
        return row
    row.task_state = task.task_state
    if any(earlier["run_key"] == key for earlier in task.earlier):
        row.note = "of a submission that was forgotten"
    elif task.phase == Phase.BEGUN:
        row.note = "the task has submitted nothing yet: it is of another Airflow, or of a deleted DAG run"
    else:
        row.note = "the task's record names another instance"
    return row


def _look_at_stack(found: _Found, conn_id: str) -> None:
    """Fill in what the stack knows. What cannot be read is told, and what Airflow knows is shown all the same."""
    try:
        with flows_client(conn_id) as client:
            instances = _instances(client, found.args.workflow_id)
            keys = KeyScan()
            _find_unknown(found, client, instances, keys)
            _find_unrecorded(found, client, instances, keys)
            for row in found.rows:
                if row.instance_id and row.instance_state is None:
                    outcome = state_of(client, row.instance_id)
                    row.instance_state = str(outcome.state) if outcome else None
                    row.note = row.note if outcome else "the stack has no such instance"
    except AirflowApiError:
        raise
    except FormanceError as error:
        write_line(f"WARNING: the stack cannot be read, so this is what Airflow knows: {error}", sys.stderr)


def _instances(client: FlowsClient, workflow_id: str | None) -> Sequence[Instance]:
    try:
        return client.list_instances(workflow_id)
    except IncompleteListError as error:
        write_line(f"WARNING: not all instances could be read, so some may be missing below: {error}", sys.stderr)
        return error.items


def _find_unknown(found: _Found, client: FlowsClient, instances: Sequence[Instance], keys: KeyScan) -> None:
    """Look for the runs of records without an instance by their keys."""
    for row in found.rows:
        if row.phase not in (Phase.INTENT, Phase.UNKNOWN) or row.submitted_at is None:
            continue
        sent = datetime.fromisoformat(row.submitted_at) - timedelta(seconds=CLOCK_MARGIN)
        since = [one for one in instances if one.workflow_id == row.workflow_id and one.created_at >= sent]
        candidates = [keys.candidate(client, one) for one in since if one.id not in found.owned]
        bearing = next((one for one in candidates if row.run_key and one.has_key(row.run_key)), None)
        if bearing is not None:
            row.instance_id, row.source = bearing.instance_id, "history"
            row.note = "it bears the run key: clear the task to take it over"
            found.owned.add(bearing.instance_id)
        else:
            row.candidates = [candidate_as_json(one) for one in candidates]
            row.note = f"not known whether it was submitted; candidates: {len(candidates)}"


def _find_unrecorded(found: _Found, client: FlowsClient, instances: Sequence[Instance], keys: KeyScan) -> None:
    """Look for instances that bear a run key and that no record names."""
    for instance in instances:
        if instance.id not in found.owned and instance.created_at >= found.since:
            found.add_instance(keys.candidate(client, instance), instance)


def _print_table(rows: list[Row]) -> None:
    from airflow.cli.simple_table import AirflowConsole

    columns = ("dag_id", "run_id", "task_id", "map_index", "task_state", "phase", "instance_id", "instance_state")

    def shown(row: Row) -> Iterator[tuple[str, str]]:
        for column in columns:
            value = getattr(row, column)
            yield column, "" if value in (None, -1) else str(value)

    AirflowConsole().print_as([dict(shown(row)) for row in rows], "table")
    # Not in the table, where they would fold the ids that are to be copied.
    for row in rows:
        if row.note is not None:
            mapped = f"[{row.map_index}]" if row.map_index >= 0 else ""
            write_line(f"{row.dag_id}/{row.run_id}/{row.task_id}{mapped}: {row.note}")
        for candidate in row.candidates:
            write_line(f"  {candidate['instance_id']} (created {candidate['created_at']})")


def _since(text: str | None, now: datetime) -> datetime:
    """Return the moment that ``--since`` names. :raises InvalidInputError: it names none."""
    if text is None:
        return now - _DEFAULT_SINCE
    if duration := re.fullmatch(r"(\d+)([mhd])", text):
        return now - timedelta(**{_UNITS[duration[2]]: int(duration[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInputError(f"--since {text}: give 90m, 12h, 7d, or an ISO 8601 time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
