"""Tokens: fetched once, shared, renewed in time, and what a refusal means."""

from __future__ import annotations

import base64
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, unquote

import pytest

from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    FlowsApiError,
    InvalidAnswerError,
    InvalidInputError,
    NotConnectedError,
    RateLimitedError,
    ServerTroubleError,
)
from tests.support.scripted_server import TOKEN_PATH, Answer, html
from tests.unit.api.conftest import SECRET

LIST = Answer(200, {"data": []})


def token(text: str, lasts: object = 3599) -> Answer:
    return Answer(200, {"access_token": text, "token_type": "Bearer", "expires_in": lasts})


def sent_tokens(server) -> list[str]:
    return [request.headers["Authorization"].removeprefix("Bearer ") for request in server.api_requests]


def test_what_is_asked_for(serve, connect):
    server = serve(LIST)
    client = connect(server, scopes="openid orchestration:read")
    client.list_workflows()
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", TOKEN_PATH)
    assert "Authorization" not in request.headers
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["openid orchestration:read"],
        "client_id": [client.settings.client_id],
        "client_secret": [SECRET],
    }


def test_fetched_once_under_many_threads_and_many_clients(serve, connect):
    server = serve(LIST)
    clients = [connect(server) for _ in range(4)]
    begin = threading.Barrier(16)

    def call(number: int) -> None:
        begin.wait(10)
        for _ in range(5):
            clients[number % 4].list_workflows()

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(call, range(16)))
    assert server.tokens_given == 1
    assert len(server.api_requests) == 80


@pytest.mark.parametrize(
    "other", [{"client_id": "you"}, {"client_secret": "other"}, {"scopes": "openid"}, {"verify": False}]
)
def test_not_shared_where_anything_that_matters_differs(other, serve, connect):
    server = serve(LIST)
    connect(server).list_workflows()
    connect(server, **other).list_workflows()
    assert server.tokens_given == 2


def test_told_to_each_client_once_before_it_is_sent(serve, connect):
    server = serve(LIST, Answer(401), LIST)
    told: list[tuple[str, int]] = []
    for _ in range(2):
        client = connect(server, on_token=lambda text: told.append((text, len(server.api_requests))))
        client.list_workflows()
        client.list_workflows()
    first, second = dict.fromkeys(sent_tokens(server))
    assert told == [(first, 0), (second, 2), (second, 3)]


@pytest.mark.parametrize("lasts, fetches", [(3599, 1), ("3599", 1), (None, 1), (0.2, 2)])
def test_renewed_before_it_ends(lasts, fetches, serve, connect):
    server = serve(LIST)
    server.token_answers.append(token("short-lived", lasts))
    client = connect(server)
    client.list_workflows()
    time.sleep(0.12)  # noqa: TID251 - more than half of 0.2 s
    client.list_workflows()
    assert len([request for request in server.requests if request.path == TOKEN_PATH]) == fetches


def test_renewed_once_after_a_401_by_whichever_thread_sees_it_first(serve, connect):
    server = serve(LIST, *[Answer(401)] * 4, LIST)
    client = connect(server)
    client.list_workflows()
    old = sent_tokens(server)[0]
    together = threading.Barrier(4)

    def hold(request) -> None:
        if request.headers.get("Authorization") == f"Bearer {old}":
            together.wait(10)  # all four get their 401 at once

    server.before_answer = hold
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: client.list_workflows(retries=0), range(4))) == [[]] * 4
    assert server.tokens_given == 2


def test_a_second_401_is_told(serve, connect):
    server = serve(Answer(401))
    with pytest.raises(AuthenticationError, match="orchestration:read") as caught:
        connect(server).list_workflows()
    assert caught.value.status_code == 401
    assert (len(server.api_requests), server.tokens_given) == (2, 2)


def test_a_token_that_is_still_good_is_used_while_its_endpoint_is_down(serve, connect):
    server = serve(LIST)
    server.token_answers.extend([token("good", 0.6), html(503)])
    client = connect(server)
    client.list_workflows()
    time.sleep(0.35)  # noqa: TID251 - more than half of 0.6 s
    client.list_workflows(retries=0)
    assert sent_tokens(server) == ["good", "good"]


def test_who_renews_a_token_holds_up_nobody_who_has_a_good_one(serve, connect):
    server = serve(LIST)
    server.token_answers.extend([token("good", 2.0), Answer(how="hang")])
    client = connect(server)
    client.list_workflows()
    time.sleep(1.05)  # noqa: TID251 - more than half of 2 s: it is renewed now
    took = []

    def call(_: int) -> None:
        began = time.monotonic()
        client.list_workflows(retries=0, timeout=(5, 0.7))
        took.append(time.monotonic() - began)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(call, range(8)))
    assert set(sent_tokens(server)) == {"good"}
    assert sorted(took)[6] < 0.5, "only the one who renews waits"


REFUSALS = {
    "wrong secret": (
        Answer(401, {"error": "invalid_client", "error_description": f"not {SECRET}"}),
        AuthenticationError,
    ),
    "wrong scope": (Answer(400, {"error": "invalid_scope"}), AuthenticationError),
    "other": (Answer(400, {"error": "unsupported_grant_type", "error_description": None}), AuthenticationError),
    "error with 200": (Answer(200, {"error": "invalid_client"}), AuthenticationError),
    "401 without a word": (Answer(401), AuthenticationError),
    "403 page": (html(403), AuthenticationError),
    "404 page": (html(404), InvalidAnswerError),
    "page": (html(200), InvalidAnswerError),
    "empty": (Answer(200), InvalidAnswerError),
    "a list": (Answer(200, []), InvalidAnswerError),
    "no token": (Answer(200, {"token_type": "Bearer"}), InvalidAnswerError),
    "null": (Answer(200, {"access_token": None, "token_type": "Bearer"}), InvalidAnswerError),
    "empty token": (token(""), InvalidAnswerError),
    "a number": (Answer(200, {"access_token": 5, "token_type": "Bearer"}), InvalidAnswerError),
    "with a newline": (token(f"{SECRET}\n"), InvalidAnswerError),
    "with a blank": (token(f"{SECRET} x"), InvalidAnswerError),
    "with another letter": (token(f"{SECRET}é"), InvalidAnswerError),
    "odd life": (token("t", "soon"), InvalidAnswerError),
    "redirect": (Answer(302, headers={"Location": "/login"}), InvalidAnswerError),
    "500": (html(500), ServerTroubleError),
    "503": (html(503), ServerTroubleError),
    "reset": (Answer(how="reset"), ServerTroubleError),
    "hang": (Answer(how="hang"), ServerTroubleError),
    "429": (Answer(429, headers={"Retry-After": "3"}), RateLimitedError),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_no_token(case, serve, connect):
    answer, error = REFUSALS[case]
    server = serve(LIST)
    server.token_answers.extend([answer] * 2)
    with pytest.raises(FlowsApiError, match=f"token endpoint {server.token_url} ") as caught:
        connect(server).list_workflows(retries=0, timeout=(5, 0.3))
    assert type(caught.value) is error
    assert caught.value.operation == "list_workflows"
    assert caught.value.retry_after == (3.0 if case == "429" else None)
    assert server.api_requests == []
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_wrong_secret_says_where_to_look(serve, connect):
    server = serve(LIST)
    server.token_answers.extend([REFUSALS["wrong secret"][0]] * 2)
    with pytest.raises(AuthenticationError, match=r"refused the client 'me-.*login and password of the connection"):
        connect(server).list_workflows()


def test_a_failure_is_shared_by_those_who_waited_for_the_same_token(serve, connect):
    server = serve(LIST)
    server.token_answers.extend([Answer(how="hang")] * 8)
    client = connect(server)
    began = time.monotonic()

    def call(_: int) -> type[Exception]:
        with pytest.raises(ServerTroubleError) as caught:
            client.list_workflows(retries=0, timeout=(5, 0.5))
        return type(caught.value)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(call, range(8))) == {ServerTroubleError}
    assert time.monotonic() - began < 2  # not eight times half a second


def test_after_a_failure_the_next_call_asks_again(serve, connect):
    server = serve(LIST)
    server.token_answers.append(html(503))
    client = connect(server)
    with pytest.raises(ServerTroubleError):
        client.list_workflows(retries=0)
    assert client.list_workflows(retries=0) == []


def test_unknown_token_host(serve, connect):
    server = serve(LIST)
    with pytest.raises(NotConnectedError, match="token endpoint"):
        connect(server, token_url="https://no-such-host.invalid/token").list_workflows(retries=0)


def test_nothing_secret_in_the_settings(connect, serve):
    client = connect(serve(LIST), proxy="http://u:proxy-secret@127.0.0.1:1")
    assert SECRET not in repr(client.settings)
    assert "proxy-secret" not in repr(client.settings)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"base_url": "stack"}, "base_url"),
        ({"base_url": "ftp://stack"}, "base_url"),
        ({"base_url": "https://"}, "base_url"),
        ({"base_url": "https://u:p@stack"}, "base_url holds a user"),
        ({"base_url": "http://stack"}, "in the open"),
        ({"token_url": "http://stack/token"}, "in the open"),
        ({"token_url": "token"}, "token_url"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"read_timeout": -1.0}, "read_timeout"),
        ({"read_timeout": float("nan")}, "read_timeout"),
    ],
)
def test_settings_are_checked(options, said, connect):
    with pytest.raises(InvalidInputError, match=said) as caught:
        connect(options.pop("base_url", "https://stack"), **options)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "http://flows.localhost"])
def test_plain_http_on_this_machine(url, connect):
    assert connect(url).settings.base_url == url


def test_plain_http_where_allowed_or_nothing_secret_is_sent(connect):
    assert connect("http://stack", allow_http=True).settings.allow_http
    assert connect("http://stack/", token_url=None).settings.base_url == "http://stack"


@pytest.mark.parametrize("status", [200, 201, 400, 418, 503])
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_a_page_that_repeats_the_request_does_not_bring_the_token_into_an_error(serve, connect, status, write):
    long = "eyJhbGciOi-" + "t" * 900
    page = f"<html>GET /x Authorization: Bearer {long}</html>".encode()
    server = serve(Answer(status, page, {"Content-Type": "text/html"}))
    server.token_answers.extend([token(long)] * 3)
    client = connect(server)
    with pytest.raises(FlowsApiError) as caught:
        client.run_workflow("x", {}, retries=0) if write else client.get_instance("x", retries=0)
    assert "Authorization: Bearer ***" in str(caught.value)
    assert "eyJhbGciOi" not in str(caught.value)


def test_401_for_ever_fetches_few_tokens(serve, connect, monkeypatch):
    """A scope was withdrawn: no new token helps, and each costs the stack and this process."""
    monkeypatch.setattr("airflow_provider_orchestration.api.tokens._AFTER_REFUSAL", 0.5)
    server = serve(Answer(401))
    client = connect(server)
    for _ in range(20):
        with pytest.raises(AuthenticationError, match="orchestration:read"):
            client.list_workflows(retries=0)
    assert server.tokens_given == 2
    time.sleep(0.6)  # noqa: TID251 - the pause
    for _ in range(20):
        with pytest.raises(AuthenticationError):
            client.list_workflows(retries=0)
    assert server.tokens_given == 3


def test_a_token_that_is_refused_now_and_then_is_replaced_each_time(serve, connect):
    server = serve(*[Answer(200, {"data": []}), Answer(401), Answer(200, {"data": []})] * 5)
    client = connect(server)
    for _ in range(10):
        client.list_workflows(retries=0)
    assert server.tokens_given == 6


def test_a_refused_token_that_could_not_be_replaced_is_as_soon_as_it_can(serve, connect):
    server = serve(Answer(200, {"data": []}), Answer(401), Answer(401), Answer(200, {"data": []}))
    client = connect(server)
    client.list_workflows(retries=0)
    server.token_answers.append(html(503))
    with pytest.raises(ServerTroubleError):
        client.list_workflows(retries=0)
    client.list_workflows(retries=0)
    assert server.tokens_given == 2


def test_an_endpoint_that_takes_http_basic_only(serve, connect):
    server = serve(LIST)
    refused = Answer(401, {"error": "invalid_client"})
    server.token_answers.extend([refused, token("by-basic-1", lasts=0.2), token("by-basic-2")])
    client = connect(server, client_secret="pl4in+s3cret")
    client.list_workflows()
    threading.Event().wait(0.25)  # its end
    client.list_workflows()

    form, *basic = [request for request in server.requests if request.path == TOKEN_PATH]
    assert "Authorization" not in form.headers
    # Found out once; the secret stands in one place only.
    assert len(basic) == 2
    for request in basic:
        basic_auth = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        # Old versions of Authlib quote it, as the RFC has it, new ones do not.
        assert unquote(basic_auth).endswith(":pl4in+s3cret")
        assert "client_secret" not in parse_qs(request.body.decode())
    assert sent_tokens(server) == ["by-basic-1", "by-basic-2"]


def test_a_wrong_secret_is_tried_by_http_basic_once(serve, connect):
    server = serve(LIST)
    server.token_answers.extend([Answer(401, {"error": "invalid_client", "error_description": "in the form"})] * 4)
    client = connect(server, client_secret="pl4in")
    for _ in range(3):
        with pytest.raises(AuthenticationError, match="in the form; look at client id and secret"):
            client.list_workflows()
    by_basic = [request for request in server.requests if "Authorization" in request.headers]
    assert (len(server.requests), len(by_basic)) == (4, 1)


@pytest.mark.parametrize("proxy", ["foo://127.0.0.1:1", "socks5://127.0.0.1:1"])
def test_a_proxy_of_an_unknown_kind_is_named(serve, connect, monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(NotConnectedError, match=r"the proxy cannot be used: .*HTTPS_PROXY"):
        connect(serve(LIST)).list_workflows()
