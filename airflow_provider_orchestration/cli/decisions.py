"""``airflow formance adopt`` and ``forget``: what a person decides about a run, written into the task's record."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_orchestration.cli.airflow_api import AirflowApi, Task
from airflow_provider_orchestration.cli.shared import (
    candidate_as_json,
    command,
    confirmed,
    flows_client,
    operators,
    state_of,
    write_json,
    write_line,
)
from airflow_provider_orchestration.exceptions import FormanceError, InvalidInputError, NotFoundError, RecordError
from airflow_provider_orchestration.run.definition import is_deleted
from airflow_provider_orchestration.run.judge.outcome import State
from airflow_provider_orchestration.run.judge.reading import read_instance
from airflow_provider_orchestration.run.keys import position_name, run_keys_in
from airflow_provider_orchestration.run.record import Decision, Phase, RunRecord
from airflow_provider_orchestration.run.submit import deciding
from airflow_provider_orchestration.run.submit.recovery import Candidate, KeyScan

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.run.judge.outcome import Outcome

#: A task may have ended this long before its instance began: a POST can run late, and be adopted.
LATE = timedelta(days=7)
#: Seconds by which a stack's clocks may be wrong; an instance of that age that bears the key is not overlooked here.
_WRONG_CLOCKS = 3600.0


@dataclass
class _Case:
    """One task, and a command about it."""

    what: str
    args: Namespace
    api: AirflowApi
    task: Task
    record: RunRecord | None

    @classmethod
    def of(cls, what: str, args: Namespace) -> _Case:
        api = AirflowApi.connect(args)
        task = api.task(args.dag_id, args.run_id, args.task_id, args.map_index)
        _check_finished(task)
        return cls(what, args, api, task, api.record(task))

    @property
    def position(self) -> str:
        task = self.task
        return position_name(task.dag_id, task.dag_run_id, task.task_id, task.map_index)

    def decision(self, instance_id: str | None = None) -> Decision:
        return Decision(self.what, self.api.user(), datetime.now(UTC).isoformat(timespec="seconds"), instance_id)

    def tell(self, *lines: str) -> None:
        """Tell a person, beside the output."""
        for line in lines:
            write_line(line, sys.stderr)

    def write(self, record: RunRecord, question: str) -> None:
        """
        Ask, look whether all is as it was shown, and write.

        :raises FormanceError: it is not, or the person said no; nothing was written.
        """
        self.tell("", f"Will write into the record of {self.task}:", *_changes(self.record, record), "")
        if not self.args.yes and not confirmed(question):
            raise FormanceError("nothing was written")
        task = self._task_now()
        _check_finished(task)
        if task != self.task or self.api.record(task) != self.record:
            raise FormanceError(f"{self.task} has changed in the meantime, nothing was written: look again")
        self.api.write(task, record)
        if self._task_now() != self.task:
            self.tell(f"WARNING: {self.task} was cleared or changed while this was written: look at its log")

    def _task_now(self) -> Task:
        return self.api.task(self.task.dag_id, self.task.dag_run_id, self.task.task_id, self.task.map_index)

    def done(self, record: RunRecord, text: str, *, written: bool, **more: Any) -> None:
        """Print the end of it."""
        if self.args.output == "table":
            write_line(text)
            return
        write_json(
            {
                "command": self.what,
                "dag_id": self.task.dag_id,
                "run_id": self.task.dag_run_id,
                "task_id": self.task.task_id,
                "map_index": self.task.map_index,
                "written": written,
                "record": msgspec.to_builtins(record),
                **more,
                "next": text,
            }
        )


@command
def adopt(args: Namespace) -> None:
    """Write into a task's record that an instance is its run."""
    case = _Case.of("adopt", args)
    with flows_client(args.conn_id) as client:
        instance, outcome = _read(client, args.instance_id)
        key = _own_key(case, client, instance, outcome)
        by = case.decision(instance.id)
        if case.record is None or case.record.phase is Phase.BEGUN:
            case.tell("No submission of this task is on record: a new record is made.")
            record = deciding.record_for(instance, key, case.position, case.task.max_tries, by)
        else:
            with _refusing(f"instance {instance.id} cannot be adopted"):
                record = deciding.adopted(case.record, instance, key, _named(case.record, client), by)
    shown = {"instance": {"instance_id": instance.id, "state": str(outcome.state), "run_key": key}}
    if record == case.record:
        case.done(
            record, f"Instance {instance.id} is this task's already; nothing was written.", written=False, **shown
        )
        return
    _check_no_other_has_it(case, instance)
    case.write(record, f"Is instance {instance.id} the run of {case.task}?")
    text = f"Written. Now clear {case.task}: it takes the instance over. {_outlook(record, outcome)}".rstrip()
    case.done(record, text, written=True, **shown)


@command
def forget(args: Namespace) -> None:
    """Write into a task's record that its submission counts no more, so that a clear submits again."""
    case = _Case.of("forget", args)
    old = case.record
    if old is None:
        raise InvalidInputError(
            f"{case.task} has no record, so there is nothing to forget: clear it, and it submits, unless an instance "
            "of this DAG run bears its name"
        )
    with _refusing(f"{case.task} cannot be forgotten"):
        record = deciding.forgotten(old, case.decision())
    with flows_client(args.conn_id) as client:
        candidates, unread = _candidates(case, client, old)
    sent = datetime.fromtimestamp(old.intent_at, UTC)
    age = (datetime.now(UTC) - sent).total_seconds()
    case.tell(
        f"Run key {old.run_key}, sent at {sent:%Y-%m-%d %H:%M:%S} UTC, {age / 60:.0f} minutes ago, by workflow "
        f"{old.workflow_id}.",
        f"Its instances created since: {len(candidates)}",
        *(f"  {candidate}" for candidate in candidates),
        "WARNING: if one of them is this task's run, or if its run still starts (it can, minutes after the answer was",
        "         lost), THE MONEY MOVES TWICE.",
    )
    if not old.recoverable:
        case.tell("The workflow does not show run keys in its first stage, so none of them can be ruled out.")
    if unread:
        case.tell("NOT ALL WAS READ that may be this task's run:", *(f"  {line}" for line in unread))
        if not args.yes_although_not_all_was_read:
            raise FormanceError(
                f"{case.task} cannot be forgotten as long as not all is read that may be its run; nothing was "
                "written. Who is sure all the same: --yes-although-not-all-was-read"
            )
    case.write(record, f"Are you sure that nothing was submitted for {case.task}, and shall it submit again?")
    shown = [candidate_as_json(candidate) for candidate in candidates]
    case.done(record, f"Written. Now clear {case.task}: it submits again.", written=True, candidates=shown)


@contextlib.contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Say what is refused before saying why."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"{what}: {error}. Nothing was written.") from error


def _check_finished(task: Task) -> None:
    from airflow.utils.state import State as AirflowState

    if task.state not in AirflowState.finished:
        raise InvalidInputError(
            f"{task} is {task.state or 'not scheduled yet'}: only a task that has ended can be decided about. Wait for "
            "its end, or mark it failed"
        )


def _read(client: FlowsClient, instance_id: str) -> tuple[Instance, Outcome]:
    try:
        return read_instance(client, instance_id)
    except NotFoundError as error:
        raise InvalidInputError(f"the stack has no instance {instance_id}: {error}") from error


def _own_key(case: _Case, client: FlowsClient, instance: Instance, outcome: Outcome) -> str | None:
    """Tell what the instance is, and return the run key that proves whose it is, if there is one."""
    candidate = KeyScan().candidate(client, instance, retries=None)
    keys = run_keys_in(candidate.texts)
    case.tell(
        f"Instance {instance.id}: {outcome.state}, created {instance.created_at.isoformat()}, of workflow "
        f"{instance.workflow_id} ({instance.workflow.name if instance.workflow else '?'})"
    )
    with _refusing(f"instance {instance.id} cannot be adopted"):
        key = deciding.own_key(keys, case.position)
    if key is None and case.record and case.record.workflow_id and candidate.has_key(case.record.run_key):
        key = case.record.run_key
    if key is not None:
        case.tell(f"It bears run key {key}, of this task. A clear that asks for something else is refused.")
    elif candidate.texts is None:
        case.tell("Its history cannot be read (any more): nothing but your word says whose it is.")
    else:
        case.tell("It bears no run key: nothing but your word says whose it is.")
    return key


def _named(record: RunRecord, client: FlowsClient) -> State | None:
    """Return what became of the instance that a record names."""
    if record.instance_id is None:
        return None
    if record.phase is Phase.ENDED and record.state is not None:
        return State(record.state)
    outcome = state_of(client, record.instance_id)
    return outcome.state if outcome else None


def _check_no_other_has_it(case: _Case, instance: Instance) -> None:
    names = {*operators(case.args), *filter(None, [case.task.operator])}
    for task in case.api.tasks(None, None, sorted(names), instance.created_at - LATE):
        if str(task) == str(case.task):
            continue
        try:
            record = case.api.record(task)
        except RecordError as error:
            raise RecordError(f"whether {task} has instance {instance.id} cannot be told: {error}") from error
        if record is not None and instance.id in (record.instance_id, *(one.instance_id for one in record.earlier)):
            raise InvalidInputError(f"instance {instance.id} is the run of {task}: its record says so")


def _candidates(case: _Case, client: FlowsClient, record: RunRecord) -> tuple[list[Candidate], list[str]]:
    """
    Return the instances that may be the record's, and what could not be read of them, a sentence each.

    :raises InvalidInputError: one of them bears its key.
    """
    scanned = KeyScan().scan(client, record.workflow_id, record.intent_at - _WRONG_CLOCKS, retries=None)
    if scanned.error is not None and not scanned.incomplete:
        raise FormanceError(f"the instances of the stack cannot be read, so nothing can be ruled out: {scanned.error}")
    for candidate in scanned.candidates:
        if candidate.has_key(record.run_key):
            remedy = (
                "Clear the task, and it takes it over"
                if candidate.is_since(record.intent_at)
                else "By the clocks it is older than the submission, so a clear does not find it: adopt it"
            )
            raise InvalidInputError(
                f"{case.task} was submitted: instance {candidate.instance_id} bears its run key {record.run_key}. "
                f"{remedy}"
            )
    since = [candidate for candidate in scanned.candidates if candidate.is_since(record.intent_at)]
    unread = [] if scanned.error is None else [scanned.error]
    if is_deleted(client, record.workflow_id):
        unread.append("the workflow was deleted: Flows does not list its instances, so some may be missing above")
    # Also of those that are older by the clocks.
    if record.recoverable and (silent := [one.instance_id for one in scanned.candidates if one.texts is None]):
        unread.append(f"these histories cannot be read: {', '.join(silent)}")
    return since, unread


def _changes(old: RunRecord | None, new: RunRecord) -> list[str]:
    before = {} if old is None else msgspec.to_builtins(old)
    after = msgspec.to_builtins(new)
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return [f"  {name}: {before.get(name)} -> {after.get(name)}" for name in names]


def _outlook(record: RunRecord, outcome: Outcome) -> str:
    """Return what the clear will bring, where it is not what one expects."""
    if outcome.state is State.FAILED:
        return "The instance has failed, so the task will, too; another clear then submits anew."
    if outcome.state is State.CANCELED:
        return "The instance was canceled, so the task will fail; another clear then submits anew."
    if not outcome.ended and record.deadline is not None and record.deadline < datetime.now(UTC).timestamp():
        return "Its run_timeout has passed and the instance still runs: clear the task when the instance has ended."
    return ""
