"""The operations that give lists, whole or an item at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_orchestration.api import inputs, lists
from airflow_provider_orchestration.api.lists import HasId, WholeLists
from airflow_provider_orchestration.api.models import Instance, Trigger, Workflow

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.session import FlowsSession

Timeout = float | tuple[float, float] | None
_Item = TypeVar("_Item", bound=HasId)


class ListOperations:
    """
    The lists of a client; the arguments of all are described there.

    :param session: the way to Flows
    """

    def __init__(self, session: FlowsSession) -> None:
        self.session = session
        self.lists = WholeLists(session)

    def list_workflows(self, *, retries: int | None = None, timeout: Timeout = None) -> list[Workflow]:
        """
        Return all workflows that are not deleted.

        :raises IncompleteListError: the server may have cut the list, and its pages cannot be had
        """
        return self.lists.read(lists.WORKFLOWS, Workflow, retries=retries, timeout=timeout).items

    def iter_workflows(self, *, retries: int | None = None, timeout: Timeout = None) -> Iterator[Workflow]:
        """Give workflows as `list_workflows` does, a page in memory at a time; one that is written meanwhile may be
        missed, or come twice."""
        return self._iterate(lists.WORKFLOWS, Workflow, retries=retries, timeout=timeout)

    def list_instances(
        self,
        workflow_id: str | None = None,
        running: bool | None = None,
        *,
        retries: int | None = None,
        timeout: Timeout = None,
    ) -> list[Instance]:
        """
        Return all instances, without their `status`. Those of deleted workflows are missing. Their order is none to
        build on: known servers list each where it was written last, which is when it began or when it ended.

        :param workflow_id: only those of this workflow
        :param running: True: only those that have not ended. False gives all of them: the server does not filter then.
        :raises IncompleteListError: the server may have cut the list, and its pages cannot be had
        """
        which = _which_instances(workflow_id, running)
        return self.lists.read(lists.INSTANCES, Instance, **which, retries=retries, timeout=timeout).items

    def iter_instances(
        self,
        workflow_id: str | None = None,
        running: bool | None = None,
        *,
        retries: int | None = None,
        timeout: Timeout = None,
    ) -> Iterator[Instance]:
        """Give instances as `list_instances` does, a page in memory at a time; one that is written meanwhile may be
        missed, or come twice."""
        which = _which_instances(workflow_id, running)
        return self._iterate(lists.INSTANCES, Instance, **which, retries=retries, timeout=timeout)

    def list_triggers(
        self, name: str | None = None, *, retries: int | None = None, timeout: Timeout = None
    ) -> list[Trigger]:
        """
        Return all Flows triggers that are not deleted.

        :param name: only those of this very name; picked here, as the server answers its own filter with an error, or
            with all whose name contains it
        :raises IncompleteListError: the server may have cut the list, and its pages cannot be had
        """
        triggers = self.lists.read(lists.TRIGGERS, Trigger, retries=retries, timeout=timeout).items
        return triggers if name is None else [trigger for trigger in triggers if trigger.name == name]

    def iter_triggers(self, *, retries: int | None = None, timeout: Timeout = None) -> Iterator[Trigger]:
        """Give Flows triggers as `list_triggers` does, a page in memory at a time; one that is written meanwhile may be
        missed, or come twice."""
        return self._iterate(lists.TRIGGERS, Trigger, retries=retries, timeout=timeout)

    def _iterate(self, what: lists.List, model: type[_Item], **request: Any) -> Iterator[_Item]:
        for page in self.lists.pages(what, model, **request):
            yield from page


def _which_instances(workflow_id: str | None, running: bool | None) -> dict[str, Any]:
    ids = {} if workflow_id is None else {"workflow_id": inputs.check_id("workflow_id", workflow_id)}
    query = {} if workflow_id is None else {"workflowID": workflow_id}
    if running is not None:
        query["running"] = "true" if running else "false"
    return {"ids": ids, "query": query}
