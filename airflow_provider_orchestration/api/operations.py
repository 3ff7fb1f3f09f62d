"""
The 17 operations of Flows v1 as data, and the texts of the server that mean something.

One table each, so that a reader finds in one place what is known of the server; nothing else looks at an error's text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from airflow_provider_orchestration.exceptions import (
    FlowsApiError,
    InstanceEndedError,
    NotFoundError,
    RefusedInputError,
)


@dataclass(frozen=True)
class Operation:
    """
    One operation of the API.

    :param name: its name in the API reference
    :param method: HTTP method
    :param path: relative to the address of Flows, ``{...}`` filled in by ids
    :param success: HTTP status of an answer that says yes; 204 has no body
    :param repeatable: may be sent again without harm even if it took effect
    :param authenticated: wants a token
    """

    name: str
    method: str
    path: str
    success: int
    repeatable: bool
    authenticated: bool = True

    @property
    def is_read(self) -> bool:
        """Changes nothing on the server."""
        return self.method == "GET"


def _read(name: str, path: str, *, authenticated: bool = True) -> Operation:
    return Operation(name, "GET", path, 200, repeatable=True, authenticated=authenticated)


# /_info is outside authentication: it proves that the address is right, and nothing about the credentials.
GET_SERVER_INFO = _read("orchestrationget_server_info", "/_info", authenticated=False)
LIST_WORKFLOWS = _read("list_workflows", "/workflows")
# A second one is another workflow of the same name.
CREATE_WORKFLOW = Operation("create_workflow", "POST", "/workflows", 201, repeatable=False)
GET_WORKFLOW = _read("get_workflow", "/workflows/{workflow_id}")
# Deleting twice answers 204 twice.
DELETE_WORKFLOW = Operation("delete_workflow", "DELETE", "/workflows/{workflow_id}", 204, repeatable=True)
# There is no idempotency key: a second one pays twice.
RUN_WORKFLOW = Operation("run_workflow", "POST", "/workflows/{workflow_id}/instances", 201, repeatable=False)
# With wait=true the server reads the instance back after it was started, so the same text of an error proves nothing:
# this variant has no known texts.
RUN_WORKFLOW_AND_WAIT = replace(RUN_WORKFLOW, path="/workflows/{workflow_id}/instances?wait=true")
LIST_INSTANCES = _read("list_instances", "/instances")
# The second version's lists, in pages with cursors: the only way to a whole list where the first version cuts it.
LIST_WORKFLOWS_V2 = _read("list_workflows", "/v2/workflows")
LIST_INSTANCES_V2 = _read("list_instances", "/v2/instances")
LIST_TRIGGERS_V2 = _read("list_triggers", "/v2/triggers")
GET_INSTANCE = _read("get_instance", "/instances/{instance_id}")
GET_INSTANCE_HISTORY = _read("get_instance_history", "/instances/{instance_id}/history")
GET_INSTANCE_STAGE_HISTORY = _read("get_instance_stage_history", "/instances/{instance_id}/stages/{number}/history")
# A second one may be taken by a later stage that waits for the same name.
SEND_EVENT = Operation("send_event", "POST", "/instances/{instance_id}/events", 204, repeatable=False)
# A request to end; asking again asks for nothing else.
CANCEL_EVENT = Operation("cancel_event", "PUT", "/instances/{instance_id}/abort", 204, repeatable=True)
LIST_TRIGGERS = _read("list_triggers", "/triggers")
# A second one starts a second instance for every event.
CREATE_TRIGGER = Operation("create_trigger", "POST", "/triggers", 201, repeatable=False)
READ_TRIGGER = _read("read_trigger", "/triggers/{trigger_id}")
# Deleting twice answers 404: the caller would be told that there never was one.
DELETE_TRIGGER = Operation("delete_trigger", "DELETE", "/triggers/{trigger_id}", 204, repeatable=False)
LIST_TRIGGERS_OCCURRENCES = _read("list_triggers_occurrences", "/triggers/{trigger_id}/occurrences")

OPERATIONS: tuple[Operation, ...] = (
    GET_SERVER_INFO,
    LIST_WORKFLOWS,
    CREATE_WORKFLOW,
    GET_WORKFLOW,
    DELETE_WORKFLOW,
    RUN_WORKFLOW,
    LIST_INSTANCES,
    GET_INSTANCE,
    GET_INSTANCE_HISTORY,
    GET_INSTANCE_STAGE_HISTORY,
    SEND_EVENT,
    CANCEL_EVENT,
    LIST_TRIGGERS,
    CREATE_TRIGGER,
    READ_TRIGGER,
    DELETE_TRIGGER,
    LIST_TRIGGERS_OCCURRENCES,
)


@dataclass(frozen=True)
class KnownText:
    """
    An ``errorMessage`` of a 500, or of the next server's 404, that says more than its status: for a write, that nothing
    happened.

    :param text: the whole message, or its beginning where it ends in an ellipsis (``…``)
    """

    operation: Operation
    text: str
    error: type[FlowsApiError]

    def fits(self, message: str) -> bool:
        """Tell whether the server's message is this one."""
        if self.text.endswith("…"):
            return message.startswith(self.text[:-1])
        return message == self.text


# Whole texts where they can be: the same words inside another message ("reading back: sql: no rows …") prove nothing.
KNOWN_TEXTS: tuple[KnownText, ...] = (
    KnownText(CREATE_WORKFLOW, "creating workflow: …", RefusedInputError),
    KnownText(GET_WORKFLOW, "sql: no rows in result set", NotFoundError),
    KnownText(RUN_WORKFLOW, "sql: no rows in result set", NotFoundError),
    KnownText(GET_INSTANCE, "Instance not found", NotFoundError),
    KnownText(GET_INSTANCE_HISTORY, "workflow not found for ID: …", NotFoundError),
    KnownText(SEND_EVENT, "retrieving workflow: sql: no rows in result set", NotFoundError),
    KnownText(SEND_EVENT, "sending signal to server: workflow not found for ID: …", NotFoundError),
    KnownText(SEND_EVENT, "sending signal to server: workflow execution already completed", InstanceEndedError),
    KnownText(CANCEL_EVENT, "retrieving workflow execution: sql: no rows in result set", NotFoundError),
    KnownText(CANCEL_EVENT, "workflow not found for ID: …", NotFoundError),
)


def known_error(operation: Operation, message: str) -> type[FlowsApiError] | None:
    """Return the error that a 500 or 404 with this ``errorMessage`` means, None where it may mean anything."""
    for known in KNOWN_TEXTS:
        if known.operation is operation and known.fits(message):
            return known.error
    return None
