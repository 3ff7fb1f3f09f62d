"""The run that a task's record tells of: read, written, told, and brought to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import InstanceFailedError, RecordError, StoppedWatchingError
from airflow_provider_orchestration.run.judge.outcome import State
from airflow_provider_orchestration.run.judge.stages import failure
from airflow_provider_orchestration.run.keys import position_name
from airflow_provider_orchestration.run.record import Phase, RunRecord
from airflow_provider_orchestration.run.store import RecordStore
from airflow_provider_orchestration.run.submit.results import read_result, whole_result
from airflow_provider_orchestration.run.words import in_words

if TYPE_CHECKING:
    import logging

    from airflow.sdk import Context

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.run.judge.outcome import Outcome
    from airflow_provider_orchestration.run.submit.again import Ask


#: What the log says of a task that watches its run no longer.
GOES_ON = "this task has stopped watching it; clear the task once the instance has ended, and it takes the end over"


@dataclass
class RecordedRun:
    """
    A task's run by its record.

    :param client: asked for only when needed, so that a record alone can answer.
    :param conn_id: its Airflow connection, for the commands that a person is told.
    """

    context: Context
    ask: Ask
    client: Callable[[], FlowsClient]
    log: logging.Logger | Any
    conn_id: str = field(default="formance_default", kw_only=True)
    store: RecordStore = field(init=False)
    #: None only before it is read.
    record: RunRecord = field(init=False)

    def __post_init__(self) -> None:
        self.store = RecordStore(self.context)
        ti: Any = self.context["ti"]
        dag_run: Any = self.context["dag_run"]
        #: By what an execution is known from others, in its record.
        self._own: dict[str, Any] = {
            "generation": ti.max_tries,
            "try_number": ti.try_number,
            "clear_number": dag_run.clear_number,
        }
        self._position = position_name(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
        self._told_id: str | None = None

    def resume(self) -> None:
        """Read the record after a deferral. :raises RecordError: it is gone, or another execution is current."""
        record = self.store.read(RunRecord)
        if record is None:
            raise RecordError(
                "the record of this task is gone, or another execution of it has taken over; nothing was submitted"
            )
        self._told_id = record.instance_id
        self._know(record)

    def ended(self, instance: Instance, outcome: Outcome) -> dict[str, Any]:
        """
        Write the end down and return the result.

        :raises InstanceFailedError: for every outcome but success.
        """
        result = read_result(self.client(), self.record, self.ask, instance, outcome, self.log)
        succeeded = outcome.state is State.SUCCEEDED
        error = None if succeeded else failure(instance, outcome)
        self._write(self.record.but(phase=Phase.ENDED, state=str(outcome.state), error=error, result=result))
        if not succeeded:
            raise self._failure()
        self.log.info("instance %s succeeded; transactions: %s", instance.id, len(result["transactions"] or ()))
        return result

    @property
    def past_deadline(self) -> bool:
        """Whether the deadline in the record has come."""
        return self.record.deadline is not None and time.time() >= self.record.deadline

    @property
    def timed_out(self) -> str:
        """What a task says whose deadline has passed."""
        if self.ask.run_timeout is None:
            return "the deadline of its submission passed"
        return f"run_timeout of {in_words(self.ask.run_timeout)} passed"

    def stopped_watching(self, why: str, *details: str) -> StoppedWatchingError:
        """Return the error of a task whose run goes on without it."""
        return StoppedWatchingError(
            f"{why}; instance {self.instance_id} goes on",
            instance_id=self.instance_id,
            details=(*details, GOES_ON),
        )

    @property
    def instance_id(self) -> str:
        """The instance that the record names. :raises RecordError: it names none."""
        if self.record.instance_id is None:
            raise RecordError(f"the record of this task names no instance; it is {self.record.phase}")
        return self.record.instance_id

    def succeeded_before(self) -> dict[str, Any]:
        """Return the result of a run that the record says to have succeeded."""
        return {**whole_result(self.client, self.record, self.ask, self.log), "taken_over": True}

    def started(self) -> dict[str, Any]:
        """Return the result of a run that is not waited for."""
        return {
            "instance_id": self.instance_id,
            "workflow_id": self.record.workflow_id,
            "state": str(State.RUNNING),
            "run_key": self.record.run_key,
        }

    def _write(self, record: RunRecord) -> None:
        self.store.write(record)
        self._know(record)

    def _know(self, record: RunRecord) -> None:
        """Go by this record, and tell its instance to other tasks, whatever becomes of this one."""
        self.record = record
        if record.instance_id not in (None, self._told_id):
            self._told_id = record.instance_id
            ti: Any = self.context["ti"]
            ti.xcom_push("instance_id", record.instance_id)

    def _failure(self) -> InstanceFailedError:
        record = self.record
        return InstanceFailedError(
            f"instance {record.instance_id} {record.state}: {record.error}",
            instance_id=record.instance_id,
            details=(
                "Airflow does not retry it, because its first stages may have moved money",
                "look at what it did, then clear the task to submit it anew",
            ),
        )
