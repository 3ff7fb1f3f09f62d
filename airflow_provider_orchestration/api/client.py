"""
FlowsClient: the 17 operations of Flows v1, and iterators over its lists.

What a failure means, and which are tried again, is decided below: `answers` and `session`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_orchestration.api import definitions, inputs, operations
from airflow_provider_orchestration.api.listing import ListOperations, Timeout
from airflow_provider_orchestration.api.models import (
    Activity,
    Instance,
    Occurrence,
    ServerInfo,
    StageHistory,
    Trigger,
    Workflow,
)
from airflow_provider_orchestration.api.session import ClientSettings, FlowsSession


class FlowsClient(ListOperations):
    """
    Calls the operations of one Flows. Safe to use from many threads at once.

    Ids (``workflow_id``, ``instance_id``, ``trigger_id``) are any text that Flows gave as one. Every operation takes
    two more arguments by name:

    - ``retries``: how many further tries at most, default 4, 0 for none. Reads are tried again on broken connections,
      408, 429 and 5xx (a 500, which may mean anything, twice at most). Writes only where it is proven that nothing
      happened: no connection, no token, 429. ``Retry-After`` is kept; where it is above 60 s there is no further try,
      and the error's `retry_after` says when to come again.
    - ``timeout``: seconds for one try, or a pair of them to connect and to read. Default: those of the settings.

    Errors of every operation (`FlowsApiError` and below, see `exceptions`) carry the operation, status and ids. A write
    that raises `OutcomeUnknownError` may have happened or still happen; with any other error it has not happened.
    Arguments that are wrong raise `InvalidInputError` before anything is sent.

    :param settings: how to reach Flows
    :param on_token: called with each new token before it is used, to have it masked in logs
    """

    def __init__(self, settings: ClientSettings, on_token: Callable[[str], None] | None = None) -> None:
        super().__init__(FlowsSession(settings, on_token))
        self.settings = settings

    def close(self) -> None:
        """Close the kept connections. The client can be used again; it then opens new ones."""
        self.session.close()

    def __enter__(self) -> FlowsClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def server_now(self) -> float:
        """
        Return the time by the server's clock, in epoch seconds, at most about a second too early.

        Known from the ``Date`` of the latest answer; before the first answer it is this machine's time.
        """
        return self.session.clock.now()

    # --- the server and workflows

    def orchestrationget_server_info(self, *, retries: int | None = None, timeout: Timeout = None) -> ServerInfo:
        """Return the version of Flows. Needs no authentication: proves the address, and nothing of the credentials."""
        return self.session.call(operations.GET_SERVER_INFO, ServerInfo, retries=retries, timeout=timeout)

    get_server_info = orchestrationget_server_info

    def create_workflow(
        self, definition: Mapping[str, Any] | str, *, retries: int | None = None, timeout: Timeout = None
    ) -> Workflow:
        """
        Create a workflow from a dict, JSON text or YAML text: ``{"name": ..., "stages": [{kind: {...}}, ...]}``.

        In YAML only ``true``, ``false``, ``null`` and whole numbers are more than text: ``on``, ``no``, dates and the
        like stay what was written. A number with a fraction is refused in all forms: money is a text of a whole number.

        :param definition: name and stages; Flows also takes one without
        :raises RefusedInputError: Flows says what is wrong with it
        """
        body = definitions.read_definition(definition)
        return self.session.call(operations.CREATE_WORKFLOW, Workflow, body=body, retries=retries, timeout=timeout)

    def get_workflow(self, workflow_id: str, *, retries: int | None = None, timeout: Timeout = None) -> Workflow:
        """
        Return a workflow; Flows 2.6 gives also one that was deleted, with `deleted_at`.

        :raises NotFoundError: no such workflow, or on the next server, deleted before
        """
        ids = {"workflow_id": inputs.check_id("workflow_id", workflow_id)}
        return self.session.call(operations.GET_WORKFLOW, Workflow, ids, retries=retries, timeout=timeout)

    def delete_workflow(self, workflow_id: str, *, retries: int | None = None, timeout: Timeout = None) -> None:
        """
        Delete a workflow. Its running instances go on; Flows 2.6 still runs it. Deleting it again does no harm on
        either server: 2.6 says yes again, the next one that there is none.

        :raises NotFoundError: no such workflow, or on the next server, deleted before
        :raises RefusedInputError: the id is no UUID
        """
        ids = {"workflow_id": inputs.check_id("workflow_id", workflow_id)}
        self.session.call_empty(operations.DELETE_WORKFLOW, ids, retries=retries, timeout=timeout)

    def run_workflow(
        self,
        workflow_id: str,
        variables: Mapping[str, str] | None = None,
        *,
        wait: bool | None = None,
        before_send: Callable[[], None] | None = None,
        retries: int | None = None,
        timeout: Timeout = None,
    ) -> Instance:
        """
        Start an instance of a workflow. **Not idempotent**: a second call pays a second time.

        :param variables: what the workflow's ``${name}`` stand for, text to text
        :param wait: asks the server to wait for the end. Flows 2.6 does not; the next server does, as long as the run
            lasts: a time-out then says nothing of it, and is an `OutcomeUnknownError`. No operator uses it.
        :param before_send: called immediately before each try is sent, with nothing between; where it raises, that try
            is not sent and its error passes
        :raises NotFoundError: no such workflow
        :raises OutcomeUnknownError: it may have started, or still start
        """
        ids = {"workflow_id": inputs.check_id("workflow_id", workflow_id)}
        body = inputs.check_texts("variables", variables)
        operation = operations.RUN_WORKFLOW_AND_WAIT if wait else operations.RUN_WORKFLOW
        return self.session.call(
            operation, Instance, ids, body=body, retries=retries, timeout=timeout, before_send=before_send
        )

    # --- instances

    def get_instance(self, instance_id: str, *, retries: int | None = None, timeout: Timeout = None) -> Instance:
        """
        Return an instance with its workflow and, as `status`, the stages that have begun.

        :raises NotFoundError: no such instance
        """
        ids = {"instance_id": inputs.check_id("instance_id", instance_id)}
        return self.session.call(operations.GET_INSTANCE, Instance, ids, retries=retries, timeout=timeout)

    def get_instance_history(
        self, instance_id: str, *, retries: int | None = None, timeout: Timeout = None
    ) -> list[StageHistory]:
        """
        Return the stages that have begun, with their input, in which the variables are filled in.

        :raises NotFoundError: no such instance; or it has only just begun; or the engine has forgotten it, after days
        """
        ids = {"instance_id": inputs.check_id("instance_id", instance_id)}
        return self.session.call_list(
            operations.GET_INSTANCE_HISTORY, StageHistory, ids, retries=retries, timeout=timeout
        )

    def get_instance_stage_history(
        self, instance_id: str, number: int, *, retries: int | None = None, timeout: Timeout = None
    ) -> list[Activity]:
        """
        Return what a stage does: the only place that shows a step that is tried again and again.

        :param number: of the stage, from 0
        :raises NotFoundError: no such instance, the stage has not begun, or the engine has forgotten it, after days
        """
        ids = {"instance_id": inputs.check_id("instance_id", instance_id), "number": inputs.check_stage_number(number)}
        return self.session.call_list(
            operations.GET_INSTANCE_STAGE_HISTORY, Activity, ids, retries=retries, timeout=timeout
        )

    def send_event(self, instance_id: str, name: str, *, retries: int | None = None, timeout: Timeout = None) -> None:
        """
        Send an event to an instance. **No error does not mean that it was taken**: one that no stage waits for is lost.

        :param name: of the event, as the stage that waits for it has it
        :raises NotFoundError: no such instance, or its stage does not listen yet
        :raises InstanceEndedError: the instance has ended
        """
        ids = {"instance_id": inputs.check_id("instance_id", instance_id)}
        body = {"name": inputs.check_text("name", name)}
        self.session.call_empty(operations.SEND_EVENT, ids, body=body, retries=retries, timeout=timeout)

    def cancel_event(self, instance_id: str, *, retries: int | None = None, timeout: Timeout = None) -> None:
        """
        Ask for an instance to be cancelled. Flows 2.6 says yes and goes on; on the next server it ends with the error
        ``canceled``, but where it waits for an event only when that comes. So look with `get_instance`.

        :raises NotFoundError: no such instance, or the engine has forgotten it, after days
        """
        ids = {"instance_id": inputs.check_id("instance_id", instance_id)}
        self.session.call_empty(operations.CANCEL_EVENT, ids, retries=retries, timeout=timeout)

    # --- Flows triggers

    def create_trigger(
        self,
        event: str,
        workflow_id: str,
        *,
        name: str | None = None,
        filter: str | None = None,  # noqa: A002 - the API's own name
        vars: Mapping[str, str] | None = None,  # noqa: A002 - the API's own name
        version: str | None = None,
        retries: int | None = None,
        timeout: Timeout = None,
    ) -> Trigger:
        """
        Create a Flows trigger: it runs the workflow when such an event comes.

        :param event: type of the event, e.g. ``COMMITTED_TRANSACTIONS``
        :param workflow_id: the workflow, one that is not deleted
        :param name: of the trigger, for people
        :param filter: expression over ``event`` (its payload) that must be true, in expr-lang
        :param vars: variables of the run, each an expression over ``event``
        :param version: only events of this version, e.g. ``v2``
        :raises NotFoundError: no such workflow
        :raises RefusedInputError: e.g. an expression that does not compile
        """
        body: dict[str, Any] = {
            "event": inputs.check_text("event", event),
            "workflowID": inputs.check_id("workflow_id", workflow_id),
        }
        optional = {"name": name, "filter": filter, "version": version}
        body |= {key: inputs.check_text(key, value) for key, value in optional.items() if value is not None}
        if vars is not None:
            body["vars"] = inputs.check_texts("vars", vars)
        ids = {"workflow_id": workflow_id}
        return self.session.call(operations.CREATE_TRIGGER, Trigger, ids, body=body, retries=retries, timeout=timeout)

    def read_trigger(self, trigger_id: str, *, retries: int | None = None, timeout: Timeout = None) -> Trigger:
        """Return a Flows trigger. :raises NotFoundError: no such trigger, or it was deleted"""
        ids = {"trigger_id": inputs.check_id("trigger_id", trigger_id)}
        return self.session.call(operations.READ_TRIGGER, Trigger, ids, retries=retries, timeout=timeout)

    def delete_trigger(self, trigger_id: str, *, retries: int | None = None, timeout: Timeout = None) -> None:
        """Delete a Flows trigger. Its occurrences remain. :raises NotFoundError: no such trigger, or deleted before"""
        ids = {"trigger_id": inputs.check_id("trigger_id", trigger_id)}
        self.session.call_empty(operations.DELETE_TRIGGER, ids, retries=retries, timeout=timeout)

    def list_triggers_occurrences(
        self, trigger_id: str, *, retries: int | None = None, timeout: Timeout = None
    ) -> list[Occurrence]:
        """Return the firings of a Flows trigger; none for an unknown one."""
        ids = {"trigger_id": inputs.check_id("trigger_id", trigger_id)}
        return self.session.call_list(
            operations.LIST_TRIGGERS_OCCURRENCES, Occurrence, ids, retries=retries, timeout=timeout
        )
