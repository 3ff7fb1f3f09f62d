"""The emulator as an ASGI application: gateway, token endpoint, operations and control routes."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from airflow_provider_orchestration.emulator.http.control import Control
from airflow_provider_orchestration.emulator.http.faults import Counters, Fault, Faults
from airflow_provider_orchestration.emulator.http.lists import ListOperations
from airflow_provider_orchestration.emulator.http.operations import Answer, Call, InstanceOperations, Operation
from airflow_provider_orchestration.emulator.http.routing import OPERATIONS, Match, match
from airflow_provider_orchestration.emulator.http.trigger_operations import TriggerOperations
from airflow_provider_orchestration.emulator.world.auth import TokenError
from airflow_provider_orchestration.emulator.world.world import World

T = TypeVar("T")
TOKEN_PATH = "/api/auth/oauth/token"  # noqa: S105 - a path
FLOWS_PATH = "/api/orchestration"
_CONTROL_PATH = "/_emulator/"
_RESET = struct.pack("ii", 1, 0)  # close without ceremony: the other side sees a reset
_NOT_FOUND = Answer(404, b"404 page not found\n", "text/plain; charset=utf-8")


class App:
    """Answers requests. ``stopping`` is set when the process is about to end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.faults = Faults()
        self.counters = Counters()
        self.control = Control(world, self.faults, self.counters)
        self.stopping = asyncio.Event()
        handlers = (
            InstanceOperations(world.state, world.engine, world.signals, world.generation),
            TriggerOperations(world.state, world.generation),
            ListOperations(world.state, world.generation),
        )
        self.operations: dict[str, Operation] = {
            name: getattr(handler, name) for handler in handlers for name in OPERATIONS if hasattr(handler, name)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or leave it without an answer if a fault wants it so."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        path = _path(scope)
        if path.startswith(_CONTROL_PATH):
            response = _response(self.control.answer(request.method, path[len(_CONTROL_PATH) :], body), request.method)
            self.world.save()
            await response(scope, receive, send)
            return
        self._count_connection(scope)
        answer = await self._answer(request, path, body)
        self.world.save()
        if answer is None:
            await _drop(request)
        else:
            await _response(answer, request.method)(scope, receive, send)

    def _count_connection(self, scope: Scope) -> None:
        connection = scope.get("state", {}).get("connection")
        if connection is not None and not connection.counted:
            connection.counted = True
            self.counters.connections += 1

    async def _answer(self, request: Request, path: str, body: bytes) -> Answer | None:
        if path == TOKEN_PATH and request.method == "POST":
            return await self._with_faults("token", request, self._token(request, body))
        if not path.startswith(FLOWS_PATH + "/"):
            return _NOT_FOUND
        found = match(request.method, path[len(FLOWS_PATH) :])
        operation = found.operation
        if operation is None:
            return self._no_operation(request, found)
        self.counters.requests[operation] = self.counters.requests.get(operation, 0) + 1
        return await self._with_faults(
            operation, request, self._operate(self.operations[operation], request, found, body)
        )

    def _no_operation(self, request: Request, found: Match) -> Answer:
        if found.guarded and not self._allowed(request):
            return Answer(401, b"", None)
        return Answer(405, b"", None) if found.allowed else _NOT_FOUND

    def _allowed(self, request: Request) -> bool:
        return self.world.authority.allows(request.headers.get("authorization", ""), request.method)

    async def _token(self, request: Request, body: bytes) -> Answer:
        if not self.world.authority.clients:
            return _NOT_FOUND
        try:
            given = self.world.authority.give(request.headers.get("authorization", ""), body.decode("utf-8", "replace"))
        except TokenError as problem:
            return Answer(problem.status, json.dumps(problem.answer).encode())
        self.counters.tokens += 1
        return Answer(200, json.dumps(given).encode())

    async def _operate(self, operation: Operation, request: Request, found: Match, body: bytes) -> Answer:
        if found.guarded and not self._allowed(request):
            return Answer(401, b"", None)
        query: dict[str, str] = {}
        for key, value in parse_qsl(request.url.query, keep_blank_values=True):
            query.setdefault(key, value)
        call = Call(
            found.ids,
            query,
            request.headers.get("content-type", ""),
            body,
            "content-length" in request.headers,
        )
        answer = operation(call)
        return answer if isinstance(answer, Answer) else await answer

    async def _with_faults(self, operation: str, request: Request, work: Coroutine[Any, Any, Answer]) -> Answer | None:
        fault = self.faults.take(operation)
        if fault is None:
            # Nothing but a run takes time: it waits for the worker, and its caller may leave before.
            return await (self._unless_gone(request, work) if operation == "run_workflow" else work)
        if fault.kind in _INSTEAD:
            work.close()
            return await self._instead(fault, request)
        return await self._after(fault, request, asyncio.ensure_future(work))

    async def _after(self, fault: Fault, request: Request, work: asyncio.Future[Answer]) -> Answer | None:
        """What a fault makes of an answer whose request has taken effect."""
        if fault.kind == "delay":
            await self._unless_gone(request, asyncio.sleep(fault.settings["seconds"]))
        answer = await self._unless_gone(request, work)
        if fault.kind == "delay" or answer is None:
            return answer
        if fault.kind == "status_after":
            return _status(fault)
        if fault.kind == "hang_after":
            await self._unless_gone(request, asyncio.get_running_loop().create_future())
        else:
            _prepare_reset(request)
        return None

    async def _instead(self, fault: Fault, request: Request) -> Answer | None:
        if fault.kind == "reset_before":
            _prepare_reset(request)
            return None
        if fault.kind == "garbage":
            return Answer(200, b"<html><body>This is not Flows.</body></html>", "text/html; charset=utf-8")
        if fault.kind == "rate_limit":
            return Answer(429, b"", None, (("Retry-After", "1"),))
        return _status(fault)

    async def _unless_gone(self, request: Request, some_work: Awaitable[T]) -> T | None:
        """The result of some work; None if the caller goes away before, or the process ends. The work goes on."""
        work = asyncio.ensure_future(some_work)
        gone = asyncio.ensure_future(request.receive())
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({work, gone, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            stopping.cancel()
        return work.result() if work.done() else None


_INSTEAD = ("reset_before", "garbage", "rate_limit", "status")


def _status(fault: Fault) -> Answer:
    settings = fault.settings
    body = settings.get("body", "")
    is_text = isinstance(body, str)
    headers = {str(name): str(value) for name, value in (settings.get("headers") or {}).items()}
    kind = headers.pop("Content-Type", None) or ("text/plain; charset=utf-8" if is_text else "application/json")
    content = body.encode() if is_text else json.dumps(body).encode()
    return Answer(int(settings["status"]), content, kind, tuple(headers.items()))


def _prepare_reset(request: Request) -> None:
    transport = request.scope["state"]["connection"].transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def _drop(request: Request) -> None:
    """End the connection without an answer."""
    request.scope["state"]["connection"].transport.abort()
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _path(scope: Scope) -> str:
    """The path as the server's router sees it: decoded, unless a slash hides in it."""
    raw = scope.get("raw_path") or b""
    return raw.decode("latin-1") if b"%2f" in raw.lower() else str(scope["path"])


def _response(answer: Answer, method: str) -> Response:
    response = Response(b"" if method == "HEAD" else answer.body, answer.status)
    response.headers.update(dict(answer.headers))
    if answer.content_type is not None:
        response.headers["content-type"] = answer.content_type
    return response
