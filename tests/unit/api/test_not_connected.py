"""Which failures to connect prove that a write was not sent."""

from __future__ import annotations

import socket
import traceback

import pytest

from airflow_provider_orchestration.exceptions import NotConnectedError, OutcomeUnknownError
from tests.support.scripted_server import Answer, html, port_that_refuses


def test_refused_connection_proves_it_and_is_tried_again(serve, connect, caplog):
    with port_that_refuses() as port:
        client = connect(f"http://127.0.0.1:{port}", token_url=serve().token_url)
        with pytest.raises(NotConnectedError, match="refused") as caught:
            client.run_workflow("w", retries=2)
    assert caught.value.operation == "run_workflow"
    assert [record.message.rpartition("; ")[2][:10] for record in caplog.records if "try " in record.message] == [
        "try 2 of 3",
        "try 3 of 3",
    ]


def test_unknown_name_proves_it(serve, connect):
    client = connect("https://no-such-host.invalid", token_url=serve().token_url)
    with pytest.raises(NotConnectedError):
        client.run_workflow("w", retries=0)


def test_connect_timeout_proves_it(serve, connect):
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for one in (first, second):  # fill the queue of those that wait to be accepted: nobody accepts
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        client = connect(f"http://127.0.0.1:{full.getsockname()[1]}", token_url=serve().token_url)
        with pytest.raises(NotConnectedError):
            client.run_workflow("w", retries=0, timeout=(0.3, 5))


def test_certificate_that_is_not_accepted_proves_it(serve, connect, server_tls):
    server = serve(tls=server_tls)
    client = connect(server, token_url=serve().token_url)
    with pytest.raises(NotConnectedError, match="certificate"):
        client.run_workflow("w", retries=0)
    assert server.api_requests == []


def test_tls_that_breaks_otherwise_proves_nothing(serve, connect):
    plain = serve(Answer(201))
    client = connect(f"https://127.0.0.1:{plain.port}", token_url=serve().token_url)
    with pytest.raises(OutcomeUnknownError, match="does not speak TLS: is its address http://"):
        client.run_workflow("w", retries=0)


def test_proxy_that_is_not_there_proves_it(serve, connect):
    with port_that_refuses() as port:
        proxy = f"http://user:proxy-secret@127.0.0.1:{port}"
        client = connect("https://stack.example.com", token_url=None, proxy=proxy)
        with pytest.raises(NotConnectedError) as caught:
            client.run_workflow("w", retries=0)
    assert "proxy-secret" not in "".join(traceback.format_exception(caught.value))
    assert "proxy-secret" not in repr(client.settings)


def test_proxy_that_answers_proves_nothing(serve, connect):
    proxy = serve(html(502))
    client = connect("https://stack.example.com", token_url=None, proxy=proxy.url)
    with pytest.raises(OutcomeUnknownError):
        client.run_workflow("w", retries=0)
    assert [request.method for request in proxy.requests] == ["CONNECT"]
