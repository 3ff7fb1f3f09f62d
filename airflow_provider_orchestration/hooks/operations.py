"""The 17 operations as methods of the hook: each hands over to the client, where it is described."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from typing import Unpack

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.listing import Timeout
    from airflow_provider_orchestration.api.models import (
        Activity,
        Instance,
        Occurrence,
        ServerInfo,
        StageHistory,
        Trigger,
        Workflow,
    )


class Limits(TypedDict, total=False):
    """What every operation takes by name: how many further tries, and seconds for each (see `FlowsClient`)."""

    retries: int | None
    timeout: Timeout


class FlowsOperations:
    """Operations of Flows by their names in the API reference. Arguments, results and errors: `FlowsClient`."""

    @abstractmethod
    def get_conn(self) -> FlowsClient:
        """Return the client."""

    def orchestrationget_server_info(self, **limits: Unpack[Limits]) -> ServerInfo:
        """Return the version of Flows."""
        return self.get_conn().orchestrationget_server_info(**limits)

    get_server_info = orchestrationget_server_info

    def list_workflows(self, **limits: Unpack[Limits]) -> list[Workflow]:
        """Return all workflows that are not deleted."""
        return self.get_conn().list_workflows(**limits)

    def iter_workflows(self, **limits: Unpack[Limits]) -> Iterator[Workflow]:
        """Give workflows, a page in memory at a time."""
        return self.get_conn().iter_workflows(**limits)

    def create_workflow(self, definition: Mapping[str, Any] | str, **limits: Unpack[Limits]) -> Workflow:
        """Create a workflow from a dict, JSON text or YAML text."""
        return self.get_conn().create_workflow(definition, **limits)

    def get_workflow(self, workflow_id: str, **limits: Unpack[Limits]) -> Workflow:
        """Return a workflow."""
        return self.get_conn().get_workflow(workflow_id, **limits)

    def delete_workflow(self, workflow_id: str, **limits: Unpack[Limits]) -> None:
        """Delete a workflow."""
        self.get_conn().delete_workflow(workflow_id, **limits)

    def run_workflow(
        self,
        workflow_id: str,
        variables: Mapping[str, str] | None = None,
        *,
        wait: bool | None = None,
        before_send: Callable[[], None] | None = None,
        **limits: Unpack[Limits],
    ) -> Instance:
        """Start an instance of a workflow. Not idempotent: in a task, `RunWorkflowOperator` is what starts it once."""
        return self.get_conn().run_workflow(workflow_id, variables, wait=wait, before_send=before_send, **limits)

    def list_instances(
        self, workflow_id: str | None = None, running: bool | None = None, **limits: Unpack[Limits]
    ) -> list[Instance]:
        """Return all instances, those of a workflow, or those that run."""
        return self.get_conn().list_instances(workflow_id, running, **limits)

    def iter_instances(
        self, workflow_id: str | None = None, running: bool | None = None, **limits: Unpack[Limits]
    ) -> Iterator[Instance]:
        """Give instances, a page in memory at a time, of all workflows or of one."""
        return self.get_conn().iter_instances(workflow_id, running, **limits)

    def get_instance(self, instance_id: str, **limits: Unpack[Limits]) -> Instance:
        """Return an instance and how far its stages are."""
        return self.get_conn().get_instance(instance_id, **limits)

    def get_instance_history(self, instance_id: str, **limits: Unpack[Limits]) -> list[StageHistory]:
        """Return the stages that have begun, with their input."""
        return self.get_conn().get_instance_history(instance_id, **limits)

    def get_instance_stage_history(self, instance_id: str, number: int, **limits: Unpack[Limits]) -> list[Activity]:
        """Return what a stage does."""
        return self.get_conn().get_instance_stage_history(instance_id, number, **limits)

    def send_event(self, instance_id: str, name: str, **limits: Unpack[Limits]) -> None:
        """Send an event to an instance; one that no stage waits for is lost."""
        self.get_conn().send_event(instance_id, name, **limits)

    def cancel_event(self, instance_id: str, **limits: Unpack[Limits]) -> None:
        """Ask for an instance to be cancelled; known servers go on."""
        self.get_conn().cancel_event(instance_id, **limits)

    def list_triggers(self, name: str | None = None, **limits: Unpack[Limits]) -> list[Trigger]:
        """Return Flows triggers."""
        return self.get_conn().list_triggers(name, **limits)

    def iter_triggers(self, **limits: Unpack[Limits]) -> Iterator[Trigger]:
        """Give Flows triggers, a page in memory at a time."""
        return self.get_conn().iter_triggers(**limits)

    def create_trigger(
        self,
        event: str,
        workflow_id: str,
        *,
        name: str | None = None,
        filter: str | None = None,  # noqa: A002 - the API's own name
        vars: Mapping[str, str] | None = None,  # noqa: A002 - the API's own name
        version: str | None = None,
        **limits: Unpack[Limits],
    ) -> Trigger:
        """Create a Flows trigger."""
        return self.get_conn().create_trigger(
            event, workflow_id, name=name, filter=filter, vars=vars, version=version, **limits
        )

    def read_trigger(self, trigger_id: str, **limits: Unpack[Limits]) -> Trigger:
        """Return a Flows trigger."""
        return self.get_conn().read_trigger(trigger_id, **limits)

    def delete_trigger(self, trigger_id: str, **limits: Unpack[Limits]) -> None:
        """Delete a Flows trigger."""
        self.get_conn().delete_trigger(trigger_id, **limits)

    def list_triggers_occurrences(self, trigger_id: str, **limits: Unpack[Limits]) -> list[Occurrence]:
        """Return the firings of a Flows trigger."""
        return self.get_conn().list_triggers_occurrences(trigger_id, **limits)
