"""A real HTTP server that answers what a test wants, oddities included, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

TOKEN_PATH = "/token"


@dataclass(frozen=True)
class Answer:
    """
    One answer.

    :param body: sent as it is, or as JSON where it is no bytes; None for no body
    :param how: `whole`; `cut` (the connection ends in the middle of the body); `reset` (no answer, the connection is
        reset); `hang` (no answer while the server lives); `drip` and `drip_head` (the body, or the head as well, comes
        a byte every 0.05 s)
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    how: str = "whole"

    def data(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@contextlib.contextmanager
def port_that_refuses() -> Iterator[int]:
    """Hold a port where nobody listens, and nobody else can begin to."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


HTML = b"<html><head><title>502</title></head><body><h1>Bad Gateway</h1></body></html>"


def html(status: int) -> Answer:
    return Answer(status, HTML, {"Content-Type": "text/html"})


def flows_error(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"errorCode": code, "errorMessage": message})


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class ScriptedServer:
    """
    Answers requests in turn: those to `TOKEN_PATH` from `token_answers` (a fresh token when there are no more), all
    others from `answers` (the last one again and again).
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answers = deque(answers)
        self.token_answers: deque[Answer] = deque()
        self.requests: list[Request] = []
        self.connections = 0
        self.tokens_given = 0
        self.before_answer: Callable[[Request], object] = lambda request: None
        self.date: str | None = None  # what the Date header says; None: the time that it is
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._tls = tls
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.script = self
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def token_url(self) -> str:
        return self.url + TOKEN_PATH

    @property
    def api_requests(self) -> list[Request]:
        return [request for request in self.requests if request.path != TOKEN_PATH]

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            if request.path != TOKEN_PATH:
                return self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
            if self.token_answers:
                return self.token_answers.popleft()
            self.tokens_given += 1
            token = f"token-{self.tokens_given}-{'x' * 20}"
            return Answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3599})

    def wait_for_end(self) -> None:
        self._ending.wait(60)

    def is_ending(self, within: float) -> bool:
        return self._ending.wait(within)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    script: ScriptedServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up, or that do not like the certificate, are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one packet for head and body: no waiting for acknowledgements
    server: _Server
    timeout = 60

    def setup(self) -> None:
        super().setup()
        with self.server.script._lock:
            self.server.script.connections += 1

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        script = self.server.script
        request = Request(self.command, self.path, dict(self.headers), body)
        answer = script.next_answer(request)
        script.before_answer(request)
        if answer.how == "reset":
            self._reset()
            return
        if answer.how == "hang":
            script.wait_for_end()
            self.close_connection = True
            return
        data = answer.data()
        if answer.how == "drip_head":
            self._drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000)
            return
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data)), **answer.headers}
        if answer.status == 204:
            del headers["Content-Length"]
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.how == "drip":
            self._drip(data)
            return
        self.wfile.write(data[: len(data) // 2] if answer.how == "cut" else data)
        self.close_connection = self.close_connection or answer.how == "cut"

    def _drip(self, data: bytes) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            for byte in data:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                if self.server.script.is_ending(0.05):
                    return

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def date_time_string(self, timestamp: float | None = None) -> str:
        date = self.server.script.date
        return super().date_time_string(timestamp) if date is None else date

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    do_GET = do_POST = do_PUT = do_DELETE = do_CONNECT = _answer  # noqa: N815 - names of http.server
