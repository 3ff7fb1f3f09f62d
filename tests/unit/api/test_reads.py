"""What a read answers, and what its failures mean."""

from __future__ import annotations

import gzip
import logging

import pytest

from airflow_provider_orchestration.api import operations
from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    InvalidAnswerError,
    NotFoundError,
    RateLimitedError,
    RefusedInputError,
    ServerTroubleError,
)
from tests.support.scripted_server import Answer, flows_error, html

INSTANCE = {"id": "i", "workflowID": "w", "createdAt": "2026-11-23T18:02:23.500761497Z", "terminated": False}
READS = {
    "orchestrationget_server_info": lambda client, **more: client.get_server_info(**more),
    "list_workflows": lambda client, **more: client.list_workflows(**more),
    "get_workflow": lambda client, **more: client.get_workflow("w", **more),
    "list_instances": lambda client, **more: client.list_instances(**more),
    "get_instance": lambda client, **more: client.get_instance("i", **more),
    "get_instance_history": lambda client, **more: client.get_instance_history("i", **more),
    "get_instance_stage_history": lambda client, **more: client.get_instance_stage_history("i", 0, **more),
    "list_triggers": lambda client, **more: client.list_triggers(**more),
    "read_trigger": lambda client, **more: client.read_trigger("t", **more),
    "list_triggers_occurrences": lambda client, **more: client.list_triggers_occurrences("t", **more),
}

# answer, error, whether it is tried again
FAILURES = {
    "page": (html(200), InvalidAnswerError, False),
    "empty": (Answer(200), InvalidAnswerError, False),
    "nothing": (Answer(204), InvalidAnswerError, False),
    "half a JSON": (Answer(200, b'{"data": [{"id": "'), InvalidAnswerError, False),
    "wrong shape": (Answer(200, {"data": [1], "version": 1}), InvalidAnswerError, False),
    "no data": (Answer(200, {"items": []}), InvalidAnswerError, False),
    "a list at the top": (Answer(200, []), InvalidAnswerError, False),
    "no UTF-8": (Answer(200, b'{"data": "\xff"}'), InvalidAnswerError, False),
    "nested without end": (Answer(200, b'{"data": ' + b"[" * 100_000), InvalidAnswerError, False),
    "no gzip": (Answer(200, b"{}", {"Content-Encoding": "gzip"}), InvalidAnswerError, True),
    "cut off": (Answer(200, {"data": [INSTANCE]}, how="cut"), InvalidAnswerError, True),
    "redirect": (
        Answer(301, headers={"Location": "https://u:p@elsewhere.example.com/a?t=1"}),
        InvalidAnswerError,
        False,
    ),
    "a gateway's 404": (html(404), InvalidAnswerError, False),
    "418": (Answer(418), InvalidAnswerError, False),
    "reset": (Answer(how="reset"), ServerTroubleError, True),
    "408": (Answer(408), ServerTroubleError, True),
    "502": (html(502), ServerTroubleError, True),
    "503": (html(503), ServerTroubleError, True),
    "504": (html(504), ServerTroubleError, True),
    "429": (Answer(429), RateLimitedError, True),
    "400": (flows_error(400, "VALIDATION", "no"), RefusedInputError, False),
    "403": (Answer(403), AuthenticationError, False),
    "404": (flows_error(404, "NOT_FOUND", "no"), NotFoundError, False),
}


def test_every_read_is_here():
    assert set(READS) == {operation.name for operation in operations.OPERATIONS if operation.is_read}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("case", FAILURES)
def test_failures(case, name, serve, connect):
    answer, error, again = FAILURES[case]
    server = serve(answer)
    with pytest.raises(error) as caught:
        READS[name](connect(server), retries=1)
    assert type(caught.value) is error
    assert caught.value.operation == name
    assert len(server.api_requests) == (2 if again else 1)


def test_redirect_says_where_to_without_secrets(serve, connect):
    with pytest.raises(InvalidAnswerError, match=r"https://elsewhere\.example\.com/a, which is not followed") as caught:
        connect(serve(FAILURES["redirect"][0])).list_workflows()
    assert "u:p" not in str(caught.value)
    assert "t=1" not in str(caught.value)


def test_page_is_shown_as_text(serve, connect):
    with pytest.raises(InvalidAnswerError, match=r"text/html: 502 Bad Gateway"):
        connect(serve(html(200))).list_workflows()


def test_error_tells_what_it_concerns(serve, connect):
    client = connect(serve(flows_error(404, "NOT_FOUND", "Instance not found")))
    with pytest.raises(
        NotFoundError, match=r"get_instance_stage_history \(instance i, number 3\): 404 NOT_FOUND"
    ) as caught:
        client.get_instance_stage_history("i", 3)
    error = caught.value
    assert (error.status_code, error.error_code, error.instance_id) == (404, "NOT_FOUND", "i")
    assert (error.workflow_id, error.trigger_id, error.retry_after) == (None, None, None)


@pytest.mark.parametrize(
    "name, message",
    [
        ("get_workflow", "sql: no rows in result set"),
        ("get_instance", "Instance not found"),
        ("get_instance_history", "workflow not found for ID: i-main"),
    ],
)
def test_unknown_thing_behind_a_500_is_not_tried_again(name, message, serve, connect):
    server = serve(flows_error(500, "INTERNAL", message))
    with pytest.raises(NotFoundError):
        READS[name](connect(server))
    assert len(server.api_requests) == 1


def test_any_other_500_is_tried_again_twice_at_most(serve, connect):
    server = serve(flows_error(500, "INTERNAL", "database is down"))
    with pytest.raises(ServerTroubleError, match="database is down"):
        connect(server).get_instance("i", retries=9)
    assert len(server.api_requests) == 3


def test_trouble_that_passes_is_not_seen(serve, connect, caplog):
    server = serve(html(502), Answer(how="reset"), Answer(503), Answer(429), Answer(200, {"data": INSTANCE}))
    assert connect(server).get_instance("i").id == "i"
    tries = [record for record in caplog.records if record.name.endswith("api.session")]
    assert [record.levelno for record in tries] == [logging.WARNING] * 4
    assert "get_instance (instance i): 502" in tries[0].getMessage()
    assert "try 5 of 5 in " in tries[3].getMessage()


def test_no_retries_means_one_try(serve, connect):
    server = serve(html(502))
    with pytest.raises(ServerTroubleError):
        connect(server).get_instance("i", retries=0)
    assert len(server.api_requests) == 1


def test_null_is_an_empty_list(serve, connect):
    client = connect(serve(Answer(200, {"data": None})))
    assert client.list_workflows() == client.list_instances() == client.list_triggers() == []
    assert client.get_instance_history("i") == client.get_instance_stage_history("i", 0) == []


def test_null_is_no_instance(serve, connect):
    with pytest.raises(InvalidAnswerError):
        connect(serve(Answer(200, {"data": None}))).get_instance("i")


@pytest.mark.parametrize("missing", ["id", "terminated", "createdAt", "workflowID"])
def test_an_instance_without_what_decides_is_no_instance(missing, serve, connect):
    answer = {key: value for key, value in INSTANCE.items() if key != missing}
    with pytest.raises(InvalidAnswerError, match=missing):
        connect(serve(Answer(200, {"data": answer}))).get_instance("i")


def test_compressed_answer(serve, connect):
    body = gzip.compress(b'{"data": []}')
    assert connect(serve(Answer(200, body, {"Content-Encoding": "gzip"}))).list_workflows() == []


def test_triggers_of_a_name_are_picked_here(serve, connect):
    trigger = {"id": "t", "event": "E", "workflowID": "w", "createdAt": "2026-11-23T18:02:23Z", "name": "n"}
    others = [{**trigger, "id": f"o{number}", "name": None} for number in range(99)]
    cursor = {"pageSize": 100, "hasMore": False, "data": [*others, trigger]}
    server = serve(Answer(200, {"data": others}), Answer(200, {"cursor": cursor}))
    assert [found.id for found in connect(server).list_triggers("n")] == ["t"]
    assert [request.path for request in server.api_requests] == ["/triggers?pageSize=100", "/v2/triggers?pageSize=100"]


@pytest.mark.parametrize(
    "arguments, query",
    [
        ({}, ""),
        ({"workflow_id": "a b&c"}, "workflowID=a+b%26c&"),
        ({"running": True}, "running=true&"),
        ({"workflow_id": "w", "running": False}, "workflowID=w&running=false&"),
    ],
)
def test_filters_of_instances(arguments, query, serve, connect):
    server = serve(Answer(200, {"data": []}))
    assert connect(server).list_instances(**arguments) == []
    assert server.api_requests[0].path == f"/instances?{query}pageSize=100"


def test_an_id_stays_in_its_place_of_the_path(serve, connect):
    server = serve(Answer(200, {"data": INSTANCE}))
    connect(server).get_instance("a/../b?c#d%2e é")
    assert server.api_requests[0].path == "/instances/a%2F..%2Fb%3Fc%23d%252e%20%C3%A9"
