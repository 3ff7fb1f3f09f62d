"""
Submit once: record, fence, submit, take over. The rules are here and nowhere else.

A write to the API either returns, or raises :class:`OutcomeUnknownError`, or raises another error that proves that
nothing happened; the record is written before the first POST and after each of the three.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_orchestration.exceptions import (
    FlowsApiError,
    InvalidInputError,
    OutcomeUnknownError,
    RecordError,
    StoppedError,
    UnknownRunError,
)
from airflow_provider_orchestration.run.definition import (
    HOW_TO_RECOVER,
    RUN_KEY_VARIABLE,
    find_workflow,
    is_recoverable,
    shows_key_alone,
    workflows_named_as,
)
from airflow_provider_orchestration.run.judge.death import lives_after_all
from airflow_provider_orchestration.run.judge.outcome import State
from airflow_provider_orchestration.run.keys import check_name, differing, digest_of_all, new_run_key
from airflow_provider_orchestration.run.record import Phase, RunRecord
from airflow_provider_orchestration.run.submit.again import Step, decide, other_ask
from airflow_provider_orchestration.run.submit.checks import as_strings, check_before_submit
from airflow_provider_orchestration.run.submit.deciding import only_said
from airflow_provider_orchestration.run.submit.orphans import began_at, check_not_elsewhere, find_orphan, unproven_since
from airflow_provider_orchestration.run.submit.recorded import RecordedRun
from airflow_provider_orchestration.run.submit.recovery import Search
from airflow_provider_orchestration.run.submit.unknown import unknown_run
from airflow_provider_orchestration.run.words import listed, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_orchestration.api.models import Workflow
    from airflow_provider_orchestration.run.submit.recovery import Candidate

#: Seconds between the fence and the POST after which the fence is written again (a machine that slept).
FENCE_HOLDS = 10.0


@dataclass
class TaskRun(RecordedRun):
    """
    The run of one task over all its executions.

    :param told_to_stop: read just before the POST; True stops it.
    :param retries: of the task, by which a clear is known where there is no record.
    :param resumed: whether Airflow resumed this execution from a deferral: then it is not the task's first, whatever
        the number of its try, and there must be a record.
    """

    told_to_stop: Callable[[], bool] = lambda: False
    resumed: bool = False
    retries: int = 0

    def begin(self) -> Step:
        """
        Read the record, or begin one, and do what it says; submit where nothing was submitted.

        Afterwards ``self.record`` says how far it is. Returns the step that was taken; SUBMIT and TAKE_OVER leave an
        instance at work, RECOVER leaves a submission of which nothing is known.

        :raises FormanceError: bad input, a proven refusal, or a record that forbids to go on.
        """
        record = self.store.read(RunRecord)
        if record is None and (self._own["try_number"] > 1 or self.resumed):
            record = self._found_without_record()
        if record is None:
            self._write(RunRecord.begun(self._position, self.ask.digest, **self._own))
        else:
            self._know(record)
        return self._go_by_record(begins=True)

    def recovered(self, instance_id: str) -> Step:
        """Write down the instance that recovery found, and go on as with any record of an instance."""
        self._write(self.record.but(phase=Phase.SUBMITTED, instance_id=instance_id))
        return self._go_by_record()

    def _go_by_record(self, *, begins: bool = False) -> Step:
        record, asked = self.record, self.ask.digest
        step = decide(record, self.ask, self._own)
        if step is Step.SUBMIT and record.state == State.DEAD and lives_after_all(self.client(), record):
            self.log.warning("instance %s was taken for dead, and lives", record.instance_id)
            record = record.but(phase=Phase.SUBMITTED, state=None, error=None, result=None)
            step = decide(record, self.ask, self._own)
        if step is Step.SUBMIT:
            if self.ask.may_stand_elsewhere(record, self._own):
                self._check_not_elsewhere(moved="run_key_name" in differing(record.digest, asked))
            return self._submit(record)
        if step is Step.FAIL_AGAIN:
            raise self._failure()
        fields = differing(record.digest, asked)
        # Of a task that goes on, the templates were rendered anew, and may hold the time of day.
        own_try = self._own["generation"], self._own["try_number"]
        same_try = begins and not self.resumed and (record.generation, record.try_number) == own_try
        if step is Step.REFUSE_OTHER or (fields and same_try):
            raise other_ask(record, self.ask, cleared=not same_try)
        if fields:
            self.log.warning("this try asks for other values than the submission it takes over: %s", listed(fields))
        if step is Step.ALREADY_SUCCEEDED:
            self.log.warning(
                "taken over: instance %s has already succeeded; nothing is submitted again", record.instance_id
            )
        if step is Step.TAKE_OVER:
            whose = "which a person adopted" if only_said(record) else f"of run key {record.run_key}"
            self.log.warning("taken over: instance %s %s", record.instance_id, whose)
        if step in (Step.ALREADY_SUCCEEDED, Step.TAKE_OVER):
            # The generation is written before anything else, or Airflow's own retry after a clear would take the next
            # failure for a clear, and submit again.
            self._write(record.but(**self._own, digest=record.digest or asked))
        return step

    def search(self) -> Search:
        """Return the search for the instance that bears the record's run key."""
        return Search(self.record.workflow_id, self.record.run_key, self.record.intent_at, self.log)

    def give_up(self, search: Search) -> UnknownRunError:
        """Write down that recovery found nothing, and return the error that tells a person what to do."""
        if self.record.phase is not Phase.UNKNOWN:
            self._write(self.record.but(phase=Phase.UNKNOWN))
        return self._unknown(search.candidates, search.trouble)

    def _submit(self, replaced: RunRecord) -> Step:
        name = check_name(self.ask.name, wanted=self.ask.named)
        variables = as_strings(self.ask.variables)
        if RUN_KEY_VARIABLE in variables:
            raise InvalidInputError(
                f"variables: {RUN_KEY_VARIABLE} is the provider's own, use run_key_name instead; nothing was sent"
            )
        client = self.client()
        workflow = self._workflow()
        check_before_submit(workflow, variables, self.log)
        if not (recoverable := is_recoverable(workflow)):
            called = f"workflow {workflow.name!r}"
            tell(self.log.warning, f"{called} is not recoverable: is an answer lost, a person must find the instance")
            tell(self.log.warning, f"to make it so, {HOW_TO_RECOVER}")
        key = new_run_key(self._position, name, digest_of_all(self.ask.digest))
        record = RunRecord(
            run_key=key,
            workflow_id=workflow.id,
            digest=self.ask.digest,
            **self._own,
            phase=Phase.INTENT,
            # A gateway's clock may be ahead; one that is behind costs a few histories more when it is looked for.
            intent_at=min(client.server_now(), time.time()),
            recoverable=recoverable,
            deadline=self._deadline(),
            earlier=replaced.replaced(),
            decisions=replaced.decisions,
        )
        self.log.info("submitting workflow %r (%s)", workflow.name, workflow.id)
        self.log.info("run key %s", key)
        self.record = record
        try:
            instance = client.run_workflow(
                workflow.id, {**variables, RUN_KEY_VARIABLE: key}, before_send=lambda: self._fence(record)
            )
        except StoppedError:
            self._write(record.but(phase=Phase.REFUSED))
            raise
        except OutcomeUnknownError as error:
            tell(self.log.error, f"whether the run was submitted is not known: {error}")
            self._write(record.but(phase=Phase.UNKNOWN))
            return Step.RECOVER
        except FlowsApiError as error:
            tell(self.log.error, f"the submission was refused, nothing was submitted: {error}")
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

    def _found_without_record(self) -> RunRecord | None:
        """
        On a later execution without a record, look for the instance that bears this task's key.

        :raises RecordError: one is found that is not proven to be what is asked for; or none, though Airflow resumed
            this execution, so that there was a record.
        """
        began = began_at(self.context["dag_run"])
        workflows = workflows_named_as(self.client(), self._workflow())
        orphan = find_orphan(self.client(), workflows, self._position, began)
        if orphan is None and self.resumed:
            raise RecordError(
                "the record of this task is gone, or another execution of it has taken over; nothing was submitted"
            )
        if orphan is None:
            self._check_not_removed(workflows, began)
            self.log.info("no record of an earlier try, and no instance of this DAG run bears this task's key")
            return None
        orphan.check(self.ask)
        self.log.warning(
            "no record of an earlier try, but instance %s bears this task's key", orphan.candidate.instance_id
        )
        if not orphan.candidate.is_since(began):
            self.log.warning("it is older than this DAG run by Airflow's clock")
            self.log.warning("if the run was deleted and made again, and is to pay again, start one of another id")
        return orphan.as_record(self.ask.digest, self._own, self._deadline())

    def _check_not_removed(self, workflows: list[Workflow], since: float) -> None:
        """
        After a clear without a record, have a person decide where an instance may be this task's and bears no key.

        Either the first try died before its first line, or the record was removed by hand.

        :raises UnknownRunError: so it is, and it is written down: `adopt` or `forget` decides.
        """
        if self._own["generation"] == self.retries and not self._own["clear_number"]:
            return
        unproven = unproven_since(self.client(), workflows, since)
        if unproven is None:
            return
        workflow, candidates = unproven
        unknown = RunRecord(
            run_key=new_run_key(self._position, self.ask.name, digest_of_all(self.ask.digest)),
            workflow_id=workflow.id,
            digest=self.ask.digest,
            **self._own,
            phase=Phase.UNKNOWN,
            intent_at=min(candidate.created for candidate in candidates),
            deadline=self._deadline(),
        )
        self.log.error("there is no record of an earlier try, which was removed or never made")
        self._write(unknown)
        raise self._unknown(candidates)

    def _unknown(self, candidates: Sequence[Candidate], trouble: str | None = None) -> UnknownRunError:
        return unknown_run(self.record, self.context["ti"], candidates, conn_id=self.conn_id, trouble=trouble)

    def _check_not_elsewhere(self, *, moved: bool) -> None:
        """:raises AlreadySubmittedError: another place of the mapped list has submitted what is asked for here."""
        workflows = workflows_named_as(self.client(), self._workflow())
        # A name that stood here before, of a workflow without keys: the name is trusted.
        if self.ask.named and not moved and not all(map(shows_key_alone, workflows)):
            return
        name = self.ask.name if moved else None
        began = began_at(self.context["dag_run"])
        check_not_elsewhere(self.client(), workflows, self._position, self.ask.digest, name, began)

    def _workflow(self) -> Workflow:
        ti = self.context["ti"]
        return find_workflow(
            self.client(),
            workflow_id=self.ask.workflow_id,
            workflow_name=self.ask.workflow_name,
            log=self.log,
            asked_by=f"{ti.dag_id}/{ti.run_id}/{ti.task_id}" if self.ask.mapped else None,
        )

    def _deadline(self) -> float | None:
        return None if self.ask.run_timeout is None else time.time() + self.ask.run_timeout
