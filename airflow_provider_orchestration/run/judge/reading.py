"""Reading an instance whole: with its definition, without which its success cannot be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from airflow_provider_orchestration.run.definition import stages_of
from airflow_provider_orchestration.run.judge.outcome import Outcome, judge

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance


def whole_instance(client: FlowsClient, instance_id: str, *, retries: int | None = None) -> Instance:
    """
    Read an instance with its definition, without which its success cannot be judged.

    :raises FlowsApiError: it cannot be read, or its definition has another shape.
    """
    instance = client.get_instance(instance_id, retries=retries)
    if instance.workflow is None:
        workflow = client.get_workflow(instance.workflow_id, retries=retries)
        instance = msgspec.structs.replace(instance, workflow=workflow)
    stages_of(instance.workflow)  # read lazily: one of another shape is to be a failed look, not a failed task
    return instance


def read_instance(client: FlowsClient, instance_id: str) -> tuple[Instance, Outcome]:
    """
    Read an instance with its definition, and judge it.

    :raises FlowsApiError: it cannot be read, after the client's retries.
    """
    instance = whole_instance(client, instance_id)
    return instance, judge(instance)
