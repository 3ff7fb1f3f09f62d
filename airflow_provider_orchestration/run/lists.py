"""Lists of instances, read for nothing but which of them run: thousands at a time, decoded in a few milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient


class _Listed(msgspec.Struct, frozen=True, gc=False):
    # A list repeats the whole definition in every item; what is not named here is skipped by the decoder, which holds
    # Python's lock, and so the event loop, while it decodes.
    id: str
    terminated: bool


def running_ids(client: FlowsClient, workflow_id: str) -> frozenset[str]:
    """Return the ids of the workflow's instances that run, those of others included."""
    return frozenset(one.id for one in _listed(client, workflow_id, running=True))


def ended_ids(client: FlowsClient, workflow_id: str) -> tuple[frozenset[str], int]:
    """Return the ids of the workflow's instances that have ended, and how many instances there are."""
    listed = _listed(client, workflow_id, running=False)
    return frozenset(one.id for one in listed if one.terminated), len(listed)


def _listed(client: FlowsClient, workflow_id: str, *, running: bool) -> list[_Listed]:
    from airflow_provider_orchestration.api import operations

    query = {"workflowID": workflow_id} | ({"running": "true"} if running else {})
    return client.session.call_list(
        operations.LIST_INSTANCES, _Listed, {"workflow_id": workflow_id}, query=query, retries=0
    )
