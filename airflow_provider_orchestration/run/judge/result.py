"""What a finished run gives to XCom: JSON all of it, exact amounts as strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import FlowsApiError
from airflow_provider_orchestration.run.definition import stages_of
from airflow_provider_orchestration.run.judge.moved import moved_lines
from airflow_provider_orchestration.run.judge.stages import stage_number
from airflow_provider_orchestration.run.money import with_amount
from airflow_provider_orchestration.run.words import listed

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Activity, Instance
    from airflow_provider_orchestration.run.judge.outcome import Outcome


def result_of(instance: Instance, outcome: Outcome, *, run_key: str | None = None) -> dict[str, Any]:
    """
    Return what is known of an instance without asking further.

    Keys: ``instance_id``, ``workflow_id``, ``workflow_name``, ``state``, ``error``, ``run_key``, ``created_at``,
    ``terminated_at`` (ISO 8601), ``stages`` (a list of ``stage`` from 0, ``kind``, ``started_at``, ``terminated_at``,
    ``error``), ``transactions`` (None: not read) and ``taken_over`` (False).
    """
    kinds = [stage.kind for stage in stages_of(instance.workflow)]
    return {
        "instance_id": instance.id,
        "workflow_id": instance.workflow_id,
        "workflow_name": instance.workflow.name if instance.workflow else None,
        "state": str(outcome.state),
        "error": outcome.error,
        "run_key": run_key,
        "created_at": _iso(instance.created_at),
        "terminated_at": _iso(instance.terminated_at),
        "stages": [
            {
                "stage": status.stage,
                "kind": kinds[status.stage] if status.stage < len(kinds) else None,
                "started_at": _iso(status.started_at),
                "terminated_at": _iso(status.terminated_at),
                "error": status.error,
            }
            for status in instance.status
        ],
        "transactions": None,
        "taken_over": False,
    }


def with_transactions(
    result: dict[str, Any],
    client: FlowsClient,
    log: logging.Logger | Any,
    amounts: Mapping[int, int] | None = None,
) -> dict[str, Any]:
    """
    Return the result with the ledger transactions that the run made, read from the stage histories; the log tells them.

    A posting's ``amount`` is a string where it is exact. Else it is None, ``amount_rounded`` is what the history says
    (flows-api, "Money in histories is rounded"), and the log says so once.

    The engine forgets histories after days (flows-api, "What bites", 10), and a run that is known to have succeeded
    is not doubted because they cannot be read: ``transactions`` is then None, and the log says so.

    :param amounts: the exact amount of each `send` that is known, by its stage, see :func:`~.money.exact_amounts`.
    """
    transactions: list[dict[str, Any]] = []
    # Of a run that failed, the stages that never began are not known here.
    stages = len(result["stages"]) if result["state"] == "succeeded" else None
    for stage in result["stages"]:
        if stage["kind"] not in (None, "send"):
            continue
        try:
            activities = client.get_instance_stage_history(result["instance_id"], stage["stage"])
            transactions.extend(_transactions(stage["stage"], activities, (amounts or {}).get(stage["stage"])))
        except FlowsApiError as error:
            if _never_ran(client, result["instance_id"], stage):
                continue
            log.warning("the transactions of %s cannot be read: %s", stage_number(stage["stage"], stages), error)
            return {**result, "transactions": None}
        except (AttributeError, TypeError) as error:
            log.warning(
                "the transactions of %s are of an unknown shape: %s", stage_number(stage["stage"], stages), error
            )
            return {**result, "transactions": None}
    if rounded := [one["id"] for one in transactions if any(posting["amount"] is None for posting in one["postings"])]:
        log.warning(
            "the histories of Flows round amounts from 2^53 on; `amount` is null in transactions %s", listed(rounded)
        )
    for line in moved_lines(transactions):
        log.info("%s", line)
    return {**result, "transactions": transactions}


def _never_ran(client: FlowsClient, instance_id: str, stage: dict[str, Any]) -> bool:
    """Tell whether a stage failed before it ran, because it was not valid: the history does not have it then."""
    if stage["error"] is None:
        return False
    try:
        return len(client.get_instance_history(instance_id)) <= int(stage["stage"])
    except FlowsApiError:
        return False


def _transactions(stage: int, activities: Iterable[Activity], exact: int | None) -> list[dict[str, Any]]:
    found = []
    for activity in activities:
        asked = (activity.input or {}).get("CreateTransaction") or {}
        made = ((activity.output or {}).get("CreateTransaction") or {}).get("data") or []
        found += [(asked.get("Ledger"), one) for one in (made if isinstance(made, list) else [made])]
    if sum(len(one.get("postings") or ()) for _, one in found) != 1:
        # Which part of the stage's amount each moved, nothing proves.
        exact = None
    return [
        {
            "stage": stage,
            "ledger": ledger,
            "id": one.get("id", one.get("txid")),
            "timestamp": one.get("timestamp"),
            "metadata": one.get("metadata") or {},
            "postings": [with_amount(posting, exact) for posting in one.get("postings") or ()],
        }
        for ledger, one in found
    ]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
