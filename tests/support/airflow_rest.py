"""A stand-in of Airflow's REST API, as far as the command line uses it: for refusals and odd answers."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Key = tuple[str, str, str, int]
_TASK = re.compile(r"/api/v2/dags/([^/]+)/dagRuns/([^/]+)/taskInstances(?:/([^/]+)/(-?\d+))?")
_STORE = re.compile(r"/api/v2/dags/([^/]+)/dagRuns/([^/]+)/taskInstances/([^/]+)/state-store/formance_run")


@dataclass
class AirflowRest:
    """A server with task instances and their records; a context manager."""

    token: str | None = "token-of-ann"
    user: str | None = "ann"
    tasks: dict[Key, dict[str, Any]] = field(default_factory=dict)
    records: dict[Key, Any] = field(default_factory=dict)
    expiries: dict[Key, Any] = field(default_factory=dict)
    writes: list[Any] = field(default_factory=list)
    queries: list[dict[str, list[str]]] = field(default_factory=list)
    #: Answers, by method and path, instead of what would be answered.
    odd: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    #: Called before each read of a task instance.
    on_task_read: Callable[[], None] = lambda: None
    page: int = 2

    def __enter__(self) -> AirflowRest:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def add_task(self, key: Key, record: Any = None, **fields: Any) -> None:
        """Add a failed task instance, with a record if one is given."""
        dag_id, run_id, task_id, map_index = key
        known = {
            "id": "1",
            "state": "failed",
            "max_tries": 2,
            "try_number": 1,
            "run_after": "2026-11-23T18:00:00Z",
            "operator": "RunWorkflowOperator",
        }
        names = {"dag_id": dag_id, "dag_run_id": run_id, "task_id": task_id, "map_index": map_index}
        self.tasks[key] = {**known, **names, **fields}
        if record is not None:
            self.records[key] = record

    def answer(self, method: str, target: str, headers: Any, body: Any) -> tuple[int, Any]:
        """Return status and JSON (or bytes) of an answer."""
        parts = urlsplit(target)
        path, query = parts.path, parse_qs(parts.query, keep_blank_values=True)
        if (method, path) in self.odd:
            return self.odd[method, path]
        if path == "/auth/token":
            return self._login(method, body)
        if self.token is None or headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"detail": "Not authenticated"}
        if path == "/ui/auth/me" and self.user:
            return 200, {"id": "7", "username": self.user}
        if found := _STORE.fullmatch(path):
            dag_id, run_id, task_id = map(unquote, found.groups())
            return self._store(method, (dag_id, run_id, task_id, int(query["map_index"][0])), body)
        if found := _TASK.fullmatch(path):
            return self._task(query, *(unquote(part) if part else None for part in found.groups()))
        return 404, {"detail": "Not Found"}

    def _login(self, method: str, body: Any) -> tuple[int, Any]:
        if method == "GET":
            return 403, {"detail": "only with simple_auth_manager_all_admins"}
        if body == {"username": "ann", "password": "secret of ann"}:
            return 201, {"access_token": self.token}
        return 401, {"detail": "Invalid credentials"}

    def _store(self, method: str, key: Key, body: Any) -> tuple[int, Any]:
        if method == "PUT":
            self.writes.append(body)
            self.records[key], self.expiries[key] = body["value"], body["expires_at"]
            return 204, None
        if key not in self.records:
            return 404, {"detail": "Task state store key 'formance_run' not found"}
        expires_at = self.expiries.get(key)
        return 200, {"key": "formance_run", "value": self.records[key], "updated_at": "", "expires_at": expires_at}

    def _task(self, query: dict[str, list[str]], *names: str | None) -> tuple[int, Any]:
        dag_id, run_id, task_id, map_index = names
        if task_id is not None:
            self.on_task_read()
            found = self.tasks.get((str(dag_id), str(run_id), task_id, int(map_index or "-1")))
            return (200, found) if found else (404, {"detail": f"The Task Instance {task_id} was not found"})
        self.queries.append(query)
        listed = [
            task
            for task in self.tasks.values()
            if dag_id in ("~", task["dag_id"])
            and run_id in ("~", task["dag_run_id"])
            and task["operator"] in query["operator"]
        ]
        first = int(query["cursor"][0] or 0)
        following = first + self.page
        return 200, {
            "task_instances": listed[first:following],
            "next_cursor": str(following) if following < len(listed) else None,
        }


def _handler_of(airflow: AirflowRest) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = airflow.answer(self.command, self.path, self.headers, json.loads(body) if body else None)
            data = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_PUT = do_POST = do_GET  # noqa: N815 - the base class wants these names

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
