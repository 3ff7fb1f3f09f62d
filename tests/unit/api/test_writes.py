"""The promise rests on this: a write is accepted, or its outcome is unknown, or it is proven that nothing happened."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.api import operations
from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    FlowsApiError,
    InstanceEndedError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    RefusedInputError,
    ServerTroubleError,
)
from tests.support.scripted_server import Answer, flows_error, html

WRITES = {
    "create_workflow": lambda client, **more: client.create_workflow({"stages": []}, **more),
    "delete_workflow": lambda client, **more: client.delete_workflow("w", **more),
    "run_workflow": lambda client, **more: client.run_workflow("w", {"a": "b"}, **more),
    "send_event": lambda client, **more: client.send_event("i", "go", **more),
    "cancel_event": lambda client, **more: client.cancel_event("i", **more),
    "create_trigger": lambda client, **more: client.create_trigger("E", "w", **more),
    "delete_trigger": lambda client, **more: client.delete_trigger("t", **more),
}
IDS = {
    "delete_workflow": {"workflow_id": "w"},
    "run_workflow": {"workflow_id": "w"},
    "send_event": {"instance_id": "i"},
    "cancel_event": {"instance_id": "i"},
    "create_trigger": {"workflow_id": "w"},
    "delete_trigger": {"trigger_id": "t"},
}

UNKNOWN = {
    "reset": Answer(how="reset"),
    "no answer in time": Answer(how="hang"),
    "cut off": Answer(201, {"data": {"id": "x" * 100}}, how="cut"),
    "success with a page": html(201),
    "success of another kind": html(200),
    "success of the wrong shape": Answer(201, {"data": [1]}),
    "success with null": Answer(201, {"data": None}),
    "success without data": Answer(201, {}),
    "success that says nothing": Answer(202),
    "redirect": Answer(302, headers={"Location": "https://elsewhere.example.com/"}),
    "permanent redirect": Answer(308, headers={"Location": "/elsewhere"}),
    "408": html(408),
    "409": flows_error(409, "CONFLICT", "no"),
    "499": html(499),
    "500": flows_error(500, "INTERNAL", "context deadline exceeded"),
    "500 without body": Answer(500),
    "500 page": html(500),
    "500 with the known words inside others": flows_error(500, "INTERNAL", "reading back: sql: no rows in result set"),
    "502": html(502),
    "503": Answer(503, headers={"Retry-After": "0"}),
    "504": html(504),
    "525": html(525),
}

PROVEN = {
    400: RefusedInputError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    405: RefusedInputError,
    413: RefusedInputError,
    415: RefusedInputError,
    422: RefusedInputError,
    429: RateLimitedError,
}


def test_every_write_is_here():
    assert set(WRITES) == {operation.name for operation in operations.OPERATIONS if not operation.is_read}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("case", UNKNOWN)
def test_outcome_unknown_and_sent_once(case, name, serve, connect):
    server = serve(UNKNOWN[case])
    with pytest.raises(OutcomeUnknownError) as caught:
        WRITES[name](connect(server), timeout=(5, 0.3))
    assert len(server.api_requests) == 1
    assert caught.value.operation == name
    answer = UNKNOWN[case]
    assert caught.value.status_code == (answer.status if answer.how == "whole" else None)
    for attribute, value in IDS.get(name, {}).items():
        assert getattr(caught.value, attribute) == value


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("status", PROVEN)
def test_turned_away_proves_that_nothing_happened(status, name, serve, connect):
    server = serve(flows_error(status, "SOME", "no"))
    with pytest.raises(PROVEN[status], match="no") as caught:
        WRITES[name](connect(server), retries=0)
    assert caught.value.status_code == status
    assert caught.value.error_code == "SOME"
    assert caught.value.operation == name
    # After a 401 with a token that may have ended, once more with a new one.
    assert len(server.api_requests) == (2 if status == 401 else 1)


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("status", PROVEN)
def test_turned_away_by_a_gateway_without_a_word_of_flows(status, name, serve, connect):
    with pytest.raises(PROVEN[status]) as caught:
        WRITES[name](connect(serve(html(status))), retries=0)
    assert caught.value.error_code is None


@pytest.mark.parametrize(
    "name, message, error",
    [
        ("create_workflow", "creating workflow: unable to resolve schema foo", RefusedInputError),
        ("run_workflow", "sql: no rows in result set", NotFoundError),
        ("send_event", "retrieving workflow: sql: no rows in result set", NotFoundError),
        ("send_event", "sending signal to server: workflow not found for ID: i-0", NotFoundError),
        ("send_event", "sending signal to server: workflow execution already completed", InstanceEndedError),
        ("cancel_event", "retrieving workflow execution: sql: no rows in result set", NotFoundError),
        ("cancel_event", "workflow not found for ID: i", NotFoundError),
    ],
)
@pytest.mark.parametrize("status, code", [(500, "INTERNAL"), (404, "NOT_FOUND")])
def test_known_texts_prove_that_nothing_happened(status, code, name, message, error, serve, connect):
    """Of both generations of server."""
    server = serve(flows_error(status, code, message))
    with pytest.raises(error) as caught:
        WRITES[name](connect(server))
    assert (caught.value.status_code, len(server.api_requests)) == (status, 1)


@pytest.mark.parametrize("name", sorted(set(WRITES) - {"run_workflow"}))
def test_a_text_of_one_operation_proves_nothing_for_another(name, serve, connect):
    with pytest.raises(OutcomeUnknownError):
        WRITES[name](connect(serve(flows_error(500, "INTERNAL", "sql: no rows in result set"))))


@pytest.mark.parametrize("status, code", [(500, "INTERNAL"), (404, "NOT_FOUND")])
def test_asked_to_wait_the_server_reads_back_so_its_no_rows_prove_nothing(status, code, serve, connect):
    server = serve(flows_error(status, code, "sql: no rows in result set"))
    with pytest.raises(OutcomeUnknownError):
        connect(server).run_workflow("w", wait=True)
    assert server.api_requests[0].path == "/workflows/w/instances?wait=true"


@pytest.mark.parametrize(
    "answer, error",
    [
        (Answer(how="reset"), ServerTroubleError),
        (html(503), ServerTroubleError),
        (Answer(401, {"error": "invalid_client"}), AuthenticationError),
    ],
)
def test_without_a_token_nothing_is_sent(answer, error, serve, connect):
    server = serve(Answer(204))
    server.token_answers.extend([answer] * 2)
    with pytest.raises(error, match="token endpoint") as caught:
        connect(server).send_event("i", "go", retries=0)
    assert server.api_requests == []
    assert caught.value.operation == "send_event"
    assert caught.value.instance_id == "i"
    assert not isinstance(caught.value, OutcomeUnknownError)


def test_token_trouble_that_passes_is_waited_out(serve, connect):
    server = serve(Answer(204))
    server.token_answers.extend([html(503), Answer(how="reset")])
    connect(server).send_event("i", "go")
    assert len(server.api_requests) == 1


def test_too_many_requests_is_waited_out(serve, connect):
    server = serve(Answer(429, headers={"Retry-After": "0"}), Answer(429), Answer(204))
    connect(server).cancel_event("i")
    assert len(server.api_requests) == 3


def test_an_ended_token_is_renewed_for_a_write(serve, connect):
    server = serve(Answer(401), Answer(204))
    connect(server).send_event("i", "go", retries=0)
    tokens = [request.headers["Authorization"] for request in server.api_requests]
    assert [token[:14] for token in tokens] == ["Bearer token-1", "Bearer token-2"]


def test_before_each_try_the_caller_has_the_last_word(serve, connect):
    server = serve(Answer(429), Answer(401), html(502))
    told: list[int] = []
    with pytest.raises(OutcomeUnknownError):
        connect(server).run_workflow("w", before_send=lambda: told.append(len(server.api_requests)))
    assert told == [0, 1, 2]


@pytest.mark.parametrize("error", [ValueError("stop"), NotFoundError("stop"), KeyboardInterrupt()])
def test_where_the_caller_says_no_nothing_is_sent(error, serve, connect):
    def refuse() -> None:
        raise error

    server = serve(Answer(201))
    with pytest.raises(type(error)) as caught:
        connect(server).run_workflow("w", before_send=refuse)
    assert caught.value is error
    assert server.api_requests == []


def test_what_nobody_foresaw_is_unknown(serve, connect):
    def broken(_token: str) -> None:
        raise RuntimeError("something of ours")

    with pytest.raises(OutcomeUnknownError, match="something of ours"):
        connect(serve(), on_token=broken).run_workflow("w")


def test_what_nobody_foresaw_in_a_read_is_no_error_of_the_api(serve, connect):
    def broken(_token: str) -> None:
        raise RuntimeError("something of ours")

    with pytest.raises(RuntimeError, match="something of ours"):
        connect(serve(), on_token=broken).list_workflows()


def test_being_interrupted_is_not_an_error_of_the_api(serve, connect):
    def interrupt(_token: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        connect(serve(), on_token=interrupt).run_workflow("w")


@pytest.mark.parametrize("name, advice", [("run_workflow", "look before"), ("delete_workflow", "does no harm")])
def test_the_text_says_whether_to_send_it_again(name, advice, serve, connect):
    with pytest.raises(OutcomeUnknownError, match=advice):
        WRITES[name](connect(serve(html(502))))


def test_all_but_unknown_are_told_apart_by_class():
    assert not issubclass(OutcomeUnknownError, ServerTroubleError)
    assert all(issubclass(error, FlowsApiError) for error in PROVEN.values())
    assert not any(issubclass(error, OutcomeUnknownError) for error in PROVEN.values())
