"""The result of a task's own run: what was submitted proves the amounts that the histories round."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import InvalidInputError
from airflow_provider_orchestration.run.judge.outcome import State
from airflow_provider_orchestration.run.judge.reading import read_instance
from airflow_provider_orchestration.run.judge.result import result_of, with_transactions
from airflow_provider_orchestration.run.keys import digest_of_all, read_run_key, run_keys_in
from airflow_provider_orchestration.run.money import exact_amounts
from airflow_provider_orchestration.run.submit.checks import as_strings

if TYPE_CHECKING:
    import logging

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.run.judge.outcome import Outcome
    from airflow_provider_orchestration.run.record import RunRecord
    from airflow_provider_orchestration.run.submit.again import Ask


def read_result(
    client: FlowsClient,
    record: RunRecord,
    ask: Ask,
    instance: Instance,
    outcome: Outcome,
    log: logging.Logger | Any,
) -> dict[str, Any]:
    """Return the result of an instance that has ended, with its transactions."""
    variables = None
    # Only the key proves what was submitted: a later try may have been given others, a person may have adopted.
    said = [decision.what for decision in record.decisions]
    keys = [read_run_key(key) for key in run_keys_in([record.run_key])]
    if "adopt" not in said and any(key.digest == digest_of_all(ask.digest) for key in keys):
        with contextlib.suppress(InvalidInputError):
            variables = as_strings(ask.variables)
    result = result_of(instance, outcome, run_key=record.run_key)
    return with_transactions(result, client, log, exact_amounts(instance.workflow, variables))


def whole_result(
    client: Callable[[], FlowsClient], record: RunRecord, ask: Ask, log: logging.Logger | Any
) -> dict[str, Any]:
    """Return the result of a run that the record says to have succeeded: read anew where the record has only a part."""
    result = record.result or {}
    if "cut" not in result:
        return result
    try:
        instance, outcome = read_instance(client(), str(record.instance_id))
        if outcome.state is State.SUCCEEDED:
            return read_result(client(), record, ask, instance, outcome, log)
    except Exception as error:  # noqa: BLE001 - whatever it is, the success is known
        log.warning("only a part of the result is on record, and the whole cannot be read: %s", error)
    return result
