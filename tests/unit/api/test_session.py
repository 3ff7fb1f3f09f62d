"""The way to the server: time limits, pauses, kept connections, clock, TLS, proxies."""

from __future__ import annotations

import email.utils
import time

import pytest

from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    InvalidInputError,
    NotConnectedError,
    RateLimitedError,
    ServerTroubleError,
)
from tests.support.scripted_server import Answer, html, port_that_refuses

INSTANCE = {"id": "i", "workflowID": "w", "createdAt": "2026-11-23T18:02:23.500761497Z", "terminated": False}


def test_slow_server(serve, connect):
    began = time.monotonic()
    with pytest.raises(ServerTroubleError, match=r"[Tt]imed out|timeout"):
        connect(serve(Answer(how="hang"))).get_instance("i", timeout=0.2, retries=0)
    assert time.monotonic() - began < 3


def test_read_timeout_of_the_settings(serve, connect):
    with pytest.raises(ServerTroubleError):
        connect(serve(Answer(how="hang")), read_timeout=0.2).get_instance("i", retries=0)


def test_server_that_is_down(connect):
    with port_that_refuses() as port, pytest.raises(NotConnectedError, match="Connection refused"):
        connect(f"http://127.0.0.1:{port}", token_url=None).list_workflows(retries=0)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_kept_in_both_forms(form, status, serve, connect):
    # By the server's clock, which is an hour late here.
    now = time.time() - 3600
    value = "1" if form == "seconds" else email.utils.formatdate(now + 1, usegmt=True)
    server = serve(Answer(status, headers={"Retry-After": value}), Answer(200, {"data": INSTANCE}))
    server.date = email.utils.formatdate(now, usegmt=True)
    began = time.monotonic()
    connect(server).get_instance("i")
    assert 0.9 < time.monotonic() - began < 3


@pytest.mark.parametrize(
    "value, seconds",
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_in_the_error(value, seconds, serve, connect):
    with pytest.raises(RateLimitedError) as caught:
        connect(serve(Answer(429, headers={"Retry-After": value}))).list_workflows(retries=0)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_wants_a_long_pause_is_not_asked_again(status, serve, connect):
    server = serve(Answer(status, headers={"Retry-After": "3600"}), Answer(200, {"data": INSTANCE}))
    with pytest.raises(ServerTroubleError) as caught:
        connect(server).get_instance("i")
    assert (caught.value.retry_after, len(server.api_requests)) == (3600.0, 1)


@pytest.mark.parametrize("case", ["run_workflow", "send_event", "cancel_event"])
def test_nor_is_one_for_a_write(case, serve, connect):
    server = serve(Answer(429, headers={"Retry-After": "61"}))
    with pytest.raises(RateLimitedError) as caught:
        getattr(connect(server), case)("w", **({"name": "go"} if case == "send_event" else {}))
    assert (caught.value.retry_after, len(server.api_requests)) == (61.0, 1)


def test_nor_is_a_token_endpoint(serve, connect):
    server = serve(Answer(200, {"data": INSTANCE}))
    server.token_answers.append(Answer(429, headers={"Retry-After": "61"}))
    with pytest.raises(RateLimitedError) as caught:
        connect(server).get_instance("i")
    assert (caught.value.retry_after, server.api_requests) == (61.0, [])


def test_server_info_needs_no_token(serve, connect):
    server = serve(Answer(200, {"version": "v2.1", "more": 1}))
    assert connect(server).orchestrationget_server_info().version == "v2.1"
    assert server.tokens_given == 0
    assert "Authorization" not in server.requests[0].headers


def test_without_authentication_nothing_is_sent_of_it(serve, connect, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server = serve(Answer(200, {"data": []}))
    assert connect(server, token_url=None).list_workflows() == []
    assert "Authorization" not in server.requests[0].headers


def test_401_without_credentials_says_to_give_some(serve, connect):
    server = serve(Answer(401))
    with pytest.raises(AuthenticationError, match="login and password of the connection"):
        connect(server, token_url=None).list_workflows()
    assert len(server.requests) == 1


def test_server_now_is_the_time_of_the_server(serve, connect):
    server = serve(Answer(200, {"data": []}))
    client = connect(server)
    assert abs(client.server_now() - time.time()) < 1  # before the first answer: ours
    then = 1_800_000_000
    server.date = email.utils.formatdate(then, usegmt=True)
    client.list_workflows()
    assert then <= client.server_now() < then + 1
    server.date = "no date"
    client.list_workflows()
    assert then <= client.server_now() < then + 2


def test_one_connection_is_kept_for_token_and_calls(serve, connect):
    server = serve(Answer(200, {"data": INSTANCE}))
    client = connect(server)
    for _ in range(5):
        client.get_instance("i")
    assert (server.connections, server.tokens_given) == (1, 1)


def test_a_closed_client_opens_anew(serve, connect):
    server = serve(Answer(200, {"data": INSTANCE}))
    client = connect(server)
    client.get_instance("i")
    client.close()
    client.get_instance("i")
    assert server.connections == 2


def test_cookies_are_not_kept(serve, connect):
    server = serve(Answer(200, {"data": []}, {"Set-Cookie": "a=b; Path=/"}))
    client = connect(server)
    client.list_workflows()
    client.list_workflows()
    assert "Cookie" not in server.requests[-1].headers


def test_tls_is_checked_against_the_authorities_given(serve, connect, server_tls, certificate):
    server = serve(Answer(200, {"data": []}), tls=server_tls)
    assert connect(server, verify=str(certificate)).list_workflows() == []
    with pytest.raises(NotConnectedError, match="certificate"):
        connect(server).session.check_token()


def test_tls_not_checked_where_told_though_the_environment_names_authorities(
    serve, connect, server_tls, monkeypatch, recwarn
):
    import certifi

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    server = serve(Answer(200, {"data": []}), tls=server_tls)
    with pytest.warns(match="Unverified HTTPS request"):
        assert connect(server, verify=False).list_workflows() == []


def test_through_a_proxy(serve, connect):
    proxy = serve(Answer(200, {"data": []}))
    client = connect("http://stack.invalid", token_url=None, proxy=proxy.url)
    assert client.list_workflows() == []
    assert proxy.requests[0].path == "http://stack.invalid/workflows?pageSize=100"


@pytest.mark.parametrize("bad", [-1, True, 1.0, "1"])
def test_bad_retries(bad, serve, connect):
    server = serve(html(502))
    with pytest.raises(InvalidInputError, match="retries"):
        connect(server).list_workflows(retries=bad)
    assert server.requests == []


@pytest.mark.parametrize("bad", [0, -1, True, "1", (1,), (1, 0), (1, 2, 3), float("nan")])
def test_bad_timeout(bad, serve, connect):
    server = serve(html(502))
    with pytest.raises(InvalidInputError, match="timeout"):
        connect(server).list_workflows(timeout=bad)
    assert server.requests == []
