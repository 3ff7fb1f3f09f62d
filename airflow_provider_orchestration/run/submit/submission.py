"""
Submit once: record, fence, submit, take over. The rules are here and nowhere else.

A write to the API either returns, or raises :class:`OutcomeUnknownError`, or raises another error that proves that
nothing happened; the record is written before the first POST and after each of the three.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import (
    FlowsApiError,
    InstanceFailedError,
    InvalidInputError,
    OutcomeUnknownError,
    RecordError,
    StoppedError,
    UnknownRunError,
)
from airflow_provider_orchestration.run.definition import (
    HOW_TO_RECOVER,
    RUN_KEY_VARIABLE,
    as_strings,
    check_before_submit,
    find_workflow,
    is_recoverable,
)
from airflow_provider_orchestration.run.judge.death import lives_after_all
from airflow_provider_orchestration.run.judge.outcome import State
from airflow_provider_orchestration.run.judge.result import result_of, with_transactions
from airflow_provider_orchestration.run.judge.stages import failure
from airflow_provider_orchestration.run.record import (
    Phase,
    RecordStore,
    RunRecord,
    differing,
    new_run_key,
    task_name,
)
from airflow_provider_orchestration.run.submit.again import Ask, Step, decide, other_ask
from airflow_provider_orchestration.run.submit.recovery import Search
from airflow_provider_orchestration.run.submit.unknown import began_at, find_orphan, unknown_run

if TYPE_CHECKING:
    import logging

    from airflow.sdk import Context

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance, Workflow
    from airflow_provider_orchestration.run.judge.outcome import Outcome

#: Seconds between the fence and the POST after which the fence is written again (a machine that slept).
FENCE_HOLDS = 10.0


@dataclass
class TaskRun:
    """
    The run of one task over all its executions.

    :param client: asked for only when needed, so that a record alone can answer.
    :param told_to_stop: read just before the POST; True stops it.
    """

    context: Context
    ask: Ask
    client: Callable[[], FlowsClient]
    log: logging.Logger | Any
    told_to_stop: Callable[[], bool] = lambda: False
    store: RecordStore = field(init=False)
    #: None only before :meth:`begin`.
    record: RunRecord = field(init=False)

    def __post_init__(self) -> None:
        self.store = RecordStore(self.context)
        ti: Any = self.context["ti"]
        self._generation: int = ti.max_tries
        self._try_number: int = ti.try_number
        self._name = task_name(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, self.ask.run_key_name)

    def begin(self) -> Step:
        """
        Read the record, or begin one, and do what it says; submit where nothing was submitted.

        Afterwards ``self.record`` says how far it is. Returns the step that was taken; SUBMIT and TAKE_OVER leave an
        instance at work, RECOVER leaves a submission of which nothing is known.

        :raises FormanceError: bad input, a proven refusal, or a record that forbids to go on.
        """
        record = self.store.read(RunRecord)
        if record is None and self._try_number > 1:
            record = self._found_without_record()
        if record is None:
            self._write(RunRecord.begun(self._name, self._generation))
        else:
            self.record = record
        return self._go_by_record(begins=True)

    def recovered(self, instance_id: str) -> Step:
        """Write down the instance that recovery found, and go on as with any record of an instance."""
        self._write(self.record.but(phase=Phase.SUBMITTED, instance_id=instance_id))
        return self._go_by_record()

    def _go_by_record(self, *, begins: bool = False) -> Step:
        record, asked = self.record, self.ask.digest
        step = decide(record, asked, self._generation)
        if step is Step.SUBMIT and record.state == State.DEAD and lives_after_all(self.client(), record):
            self.log.warning("instance %s was taken for dead, and lives", record.instance_id)
            record = record.but(phase=Phase.SUBMITTED, state=None, error=None, result=None)
            step = decide(record, asked, self._generation)
        if step is Step.SUBMIT:
            return self._submit(record)
        if step is Step.FAIL_AGAIN:
            raise self._failure()
        fields = ", ".join(differing(record.digest, asked))
        # Of a task that goes on, the templates were rendered anew, and may hold the time of day.
        same_try = begins and (record.generation, record.try_number) == (self._generation, self._try_number)
        if step is Step.REFUSE_OTHER or (fields and same_try):
            raise other_ask(record, fields, cleared=not same_try)
        if fields:
            self.log.warning("this try asks for other values than the submission that it takes over: %s", fields)
        if step is Step.ALREADY_SUCCEEDED:
            self.log.warning(
                "taken over: instance %s has already succeeded; nothing is submitted again", record.instance_id
            )
        if step is Step.TAKE_OVER:
            self.log.warning("taken over: instance %s of run key %s", record.instance_id, record.run_key)
        if step in (Step.ALREADY_SUCCEEDED, Step.TAKE_OVER):
            # The generation is written before anything else, or Airflow's own retry after a clear would take the next
            # failure for a clear, and submit again.
            own = {"generation": self._generation, "try_number": self._try_number}
            self._write(record.but(**own, digest=record.digest or asked))
        return step

    def resume(self) -> None:
        """Read the record after a deferral. :raises RecordError: it is gone, or another execution is current."""
        record = self.store.read(RunRecord)
        if record is None:
            raise RecordError(
                "the record of this task is gone, or another execution of it has taken over; nothing was submitted"
            )
        self.record = record

    def ended(self, instance: Instance, outcome: Outcome) -> dict[str, Any]:
        """
        Write the end down and return the result.

        :raises InstanceFailedError: for every outcome but success.
        """
        result = with_transactions(result_of(instance, outcome, run_key=self.record.run_key), self.client(), self.log)
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
    def instance_id(self) -> str:
        """The instance that the record names. :raises RecordError: it names none."""
        if self.record.instance_id is None:
            raise RecordError(f"the record of this task names no instance; it is {self.record.phase}")
        return self.record.instance_id

    def started(self) -> dict[str, Any]:
        """Return the result of a run that is not waited for."""
        return {
            "instance_id": self.instance_id,
            "workflow_id": self.record.workflow_id,
            "state": str(State.RUNNING),
            "run_key": self.record.run_key,
        }

    def search(self) -> Search:
        """Return the search for the instance that bears the record's run key."""
        return Search(self.record.workflow_id, self.record.run_key, self.record.intent_at, self.log)

    def give_up(self, search: Search) -> UnknownRunError:
        """Write down that recovery found nothing, and return the error that tells a person what to do."""
        if self.record.phase is not Phase.UNKNOWN:
            self._write(self.record.but(phase=Phase.UNKNOWN))
        return unknown_run(self.record, search.candidates, search.trouble)

    def _submit(self, replaced: RunRecord) -> Step:
        variables = as_strings(self.ask.variables)
        if RUN_KEY_VARIABLE in variables:
            raise InvalidInputError(
                f"variables: {RUN_KEY_VARIABLE} is the provider's own; use run_key_name instead. Nothing was sent."
            )
        client = self.client()
        workflow = self._workflow()
        check_before_submit(workflow, variables, self.log)
        if not (recoverable := is_recoverable(workflow)):
            self.log.warning(
                "workflow %r is not recoverable: should the answer to the submission be lost, a person must find the "
                "instance. To make it so, %s",
                workflow.name,
                HOW_TO_RECOVER,
            )
        key = new_run_key(self._name)
        record = RunRecord(
            run_key=key,
            workflow_id=workflow.id,
            digest=self.ask.digest,
            generation=self._generation,
            try_number=self._try_number,
            phase=Phase.INTENT,
            # A gateway's clock may be ahead; one that is behind costs a few histories more when it is looked for.
            intent_at=min(client.server_now(), time.time()),
            recoverable=recoverable,
            deadline=self._deadline(),
            earlier=replaced.replaced(),
            decisions=replaced.decisions,
        )
        self.log.info("submitting workflow %r (%s) with run key %s", workflow.name, workflow.id, key)
        self.record = record
        try:
            instance = client.run_workflow(
                workflow.id, {**variables, RUN_KEY_VARIABLE: key}, before_send=lambda: self._fence(record)
            )
        except StoppedError:
            self._write(record.but(phase=Phase.REFUSED))
            raise
        except OutcomeUnknownError as error:
            self.log.error("whether the run was submitted is not known: %s", error)
            self._write(record.but(phase=Phase.UNKNOWN))
            return Step.RECOVER
        except FlowsApiError as error:
            self.log.error("the submission was refused, nothing was submitted: %s", error)
            self._write(record.but(phase=Phase.REFUSED))
            raise
        self.log.info("instance %s was started", instance.id)
        self._write(record.but(phase=Phase.SUBMITTED, instance_id=instance.id))
        return Step.SUBMIT

    def _fence(self, record: RunRecord) -> None:
        """Write the intent, immediately before each POST: a stale execution is refused here, and stops."""
        while True:
            before = time.time()
            self.store.write(record)
            if self.told_to_stop():
                raise StoppedError("this task was told to stop before it submitted; nothing was sent")
            if time.time() - before < FENCE_HOLDS:
                return

    def _write(self, record: RunRecord) -> None:
        self.store.write(record)
        self.record = record

    def _found_without_record(self) -> RunRecord | None:
        """On a later try without a record, look for an instance whose key begins with this task's name."""
        client = self.client()
        workflow = self._workflow()
        since = began_at(self.context["dag_run"])
        orphan = find_orphan(client, workflow, self._name, since)
        if orphan is None:
            self.log.info("no record of an earlier try, and no instance of this DAG run bears this task's name")
            return None
        self.log.warning("no record of an earlier try, but instance %s bears this task's name", orphan.instance_id)
        return RunRecord(
            run_key=orphan.key_from(self._name),
            workflow_id=workflow.id,
            digest=self.ask.digest,
            generation=self._generation,
            phase=Phase.SUBMITTED,
            intent_at=since,
            recoverable=True,
            deadline=self._deadline(),
            instance_id=orphan.instance_id,
        )

    def _workflow(self) -> Workflow:
        return find_workflow(
            self.client(), workflow_id=self.ask.workflow_id, workflow_name=self.ask.workflow_name, log=self.log
        )

    def _deadline(self) -> float | None:
        return None if self.ask.run_timeout is None else time.time() + self.ask.run_timeout

    def _failure(self) -> InstanceFailedError:
        record = self.record
        return InstanceFailedError(
            f"instance {record.instance_id} {record.state}: {record.error}. Airflow does not retry it, because its "
            "first stages may have moved money; look at what it did, then clear the task to submit it anew.",
            instance_id=record.instance_id,
        )
