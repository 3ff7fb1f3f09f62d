"""What an execution does first, by the record: the rules of a retry, a clear and a resume."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow_provider_orchestration.exceptions import AlreadySubmittedError
from airflow_provider_orchestration.run.keys import differing, digest_of
from airflow_provider_orchestration.run.record import Phase, RunRecord
from airflow_provider_orchestration.run.words import listed

#: What a person is told whose task asks at a place of a mapped list for what may stand at another one, too.
MAYBE_PAID_ELSEWHERE = (
    "a place in a mapped list is no identity: what is asked for now may have been paid at another place",
    "restore the list and clear again; or pay what is still unpaid, and only that, in a new DAG run",
)
NAME_EACH_RUN = "a run_key_name (an invoice number) for each run lets its values be corrected"


@dataclass(frozen=True)
class Ask:
    """
    What a task asks for, as its operator was given it.

    :param run_timeout: seconds.
    :param name: ``run_key_name`` as it was rendered, the business identity of what is paid.
    :param named: whether the DAG gives a ``run_key_name``.
    :param mapped: whether the task is one of a mapped list: then its position there is no identity.
    """

    workflow_id: str | None
    workflow_name: str | None
    variables: Mapping[str, Any] | None
    run_timeout: float | None = None
    name: str | None = None
    named: bool = False
    mapped: bool = False

    @cached_property
    def digest(self) -> dict[str, str]:
        """
        A short hash of each thing asked for.

        It takes the workflow as the DAG names it: a workflow deployed anew under its name is no other ask.
        """
        variables: object = {} if self.variables is None else self.variables
        if not isinstance(variables, Mapping):
            variables = {"": variables}
        return digest_of(self.workflow_id or self.workflow_name or "", variables, self.name)

    def is_another_than(self, record: RunRecord) -> bool:
        """
        Tell whether it is not what the record's submissions were for, so that it must not take their place.

        The place in a mapped list is no identity: the list may have changed its order, and what is asked for here may
        have been paid at another place. With a ``run_key_name``, that one tells.
        """
        if record.instance_id is None and not record.earlier:
            return False
        other = differing(record.digest, self.digest)
        return "run_key_name" in other or (self.mapped and not self.named and bool(other))

    def may_stand_elsewhere(self, record: RunRecord, own: Mapping[str, int]) -> bool:
        """
        Tell whether what would be submitted from here now may have been from another place of the mapped list.

        A person has cleared a place, and it asks for something else than before: a correction, or the list has changed
        its order. (Where anything was submitted from here, :meth:`is_another_than` refuses what is not the same name.)
        """
        return self.mapped and bool(differing(record.digest, self.digest)) and may_be_cleared(record, own)


class Step(enum.Enum):
    """What an execution does first, by the record."""

    SUBMIT = "submit"
    RECOVER = "recover"
    TAKE_OVER = "take over"
    ALREADY_SUCCEEDED = "already succeeded"
    FAIL_AGAIN = "fail again"
    #: Something else is asked for than what was submitted, and it must neither be taken for it nor replace it.
    REFUSE_OTHER = "refuse other"


def other_ask(record: RunRecord, ask: Ask, *, cleared: bool) -> AlreadySubmittedError:
    """Return the error of an execution that asks for something else than what its task has submitted."""
    its = f"instance {record.instance_id}" if record.instance_id else f"the run of key {record.run_key}"
    its += f" (it has {record.state})" if record.state in ("succeeded", "failed") else ""
    text = f"this task now asks for something else than what {its} was submitted for; nothing was submitted"
    details = [f"it differs in {listed(differing(record.digest, ask.digest))}"]
    if not cleared:
        text = f"one try of this task asks for a second run, after {its}; nothing was submitted"
        details += ["the second has not been paid", "a task has one run: map it (`.expand`), or use further tasks"]
    elif ask.is_another_than(record):
        details += ["this task, or one beside it, was cleared", *MAYBE_PAID_ELSEWHERE]
        details += () if ask.named else (NAME_EACH_RUN,)
    else:
        details += [
            "this task, or one beside it, was cleared; what it asks for now has not been paid",
            "restore the values and clear again; or, if it is to be paid beside what was, start a new DAG run for it",
        ]
    return AlreadySubmittedError(text, instance_id=record.instance_id, details=details)


def may_be_cleared(record: RunRecord, own: Mapping[str, int]) -> bool:
    """
    Tell whether a person may have cleared the task since the record was written.

    Where ``generation`` differs, it was. Where only ``clear_number`` does, some task of the DAG run was: perhaps this
    one, for Airflow can forget to raise ``max_tries``.
    """
    return record.generation != own["generation"] or record.clear_number not in (-1, own["clear_number"])


def decide(record: RunRecord, ask: Ask, own: Mapping[str, int]) -> Step:
    """
    Decide what to do, by what is known of earlier executions.

    - Only begun, proven to be refused, or forgotten by a person's decision: submit.
    - Sent, and whether it was accepted is not known: recover; never submit.
    - Failed: only a clear submits anew, because the first stages may have moved money. An instance that fails *after*
      a clear took it over is not replaced: who takes over writes its own generation.
    - At work or succeeded: take it over. Where it may have been cleared and asks for something else, refuse: that has
      not been paid.
    - What would submit, but asks for another payment than was submitted from here: refuse.

    :param own: ``generation`` (``ti.max_tries``; it differs, ``!=``, for it can shrink, from the record's after a clear
        only) and ``clear_number`` of this execution.
    """
    if record.phase in (Phase.INTENT, Phase.UNKNOWN):
        return Step.RECOVER
    cleared = record.generation != own["generation"]
    failed = record.phase is Phase.ENDED and record.state != "succeeded"
    if failed and not cleared:
        return Step.FAIL_AGAIN
    if failed or record.phase in (Phase.BEGUN, Phase.REFUSED, Phase.FORGOTTEN):
        return Step.REFUSE_OTHER if ask.is_another_than(record) else Step.SUBMIT
    if may_be_cleared(record, own) and differing(record.digest, ask.digest):
        return Step.REFUSE_OTHER
    return Step.ALREADY_SUCCEEDED if record.phase is Phase.ENDED else Step.TAKE_OVER
