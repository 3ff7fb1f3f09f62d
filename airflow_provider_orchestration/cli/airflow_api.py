"""Airflow's public REST API, as far as the commands need it: task instances and their records."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from airflow_provider_orchestration.exceptions import FormanceError
from airflow_provider_orchestration.run.record import RunRecord
from airflow_provider_orchestration.run.store import STORE_KEYS, as_json, record_from

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

_T = TypeVar("_T")
#: Seconds for one request, to connect and to read.
_TIMEOUT = (10.0, 60.0)
_PAGE = 100


class AirflowApiError(FormanceError):
    """
    Airflow's API did not do what it was asked.

    :param status_code: of its answer; None if there was none
    """

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task instance, as the API gives it."""

    #: Another one for each try.
    id: str
    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int
    state: str | None
    max_tries: int
    try_number: int
    run_after: datetime
    operator: str | None = None
    start_date: datetime | None = None

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}/{self.dag_run_id}/{self.task_id}{mapped}"


class Credentials(Protocol):
    """The arguments of the command line by which Airflow's API is reached."""

    api_url: str | None
    token: str | None
    username: str | None


@dataclass
class _Bearer:
    """Sent with every request; requests would prefer a login from a .netrc file to a header."""

    token: str

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class AirflowApi:
    """
    A session with Airflow's API server.

    :param url: address of the server, with the path below which it lies, if any.
    """

    def __init__(self, url: str) -> None:
        import requests

        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._anonymous = False

    @classmethod
    def connect(cls, args: Credentials) -> AirflowApi:
        """
        Return a session for the arguments of a command, with a token.

        The token is ``--token``, or ``AIRFLOW_API_TOKEN``, or got for ``--username`` and a password, or the one that
        Airflow gives to everybody with ``simple_auth_manager_all_admins``; else user and password are asked for.

        :raises AirflowApiError: the server cannot be reached, or there is no token.
        """
        from airflow.configuration import conf

        default = f"http://localhost:{conf.getint('api', 'port', fallback=8080)}"
        api = cls(args.api_url or conf.get("api", "base_url", fallback=None) or default)
        token = args.token or os.environ.get("AIRFLOW_API_TOKEN") or api._login(args.username)
        api._session.auth = _Bearer(token)
        return api

    def user(self) -> str:
        """Return the user's name in Airflow, or that of the operating system where Airflow does not tell it."""
        if not self._anonymous:
            try:
                # Not of the public API: what it answers may change, and then we do without it.
                answer = self._json("GET", "/ui/auth/me")
                if isinstance(answer, Mapping) and answer.get("username"):
                    return str(answer["username"])
            except AirflowApiError:
                pass
        return getpass.getuser()

    def task(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> Task:
        """Return a task instance. :raises AirflowApiError: there is none, or it cannot be read."""
        try:
            return _convert(self._json("GET", f"{_path(dag_id, run_id, task_id)}/{map_index}"), Task)
        except AirflowApiError as error:
            if error.status_code != 404 or map_index >= 0:
                raise
            raise AirflowApiError(f"{error} (a mapped task needs --map-index)", 404) from error

    def tasks(
        self, dag_id: str | None, run_id: str | None, operators: Sequence[str], since: datetime | None
    ) -> Iterator[Task]:
        """
        Yield task instances.

        :param operators: class names of their operators.
        :param since: only those that changed since.
        """
        path = f"/api/v2/dags/{quote(dag_id or '~', safe='~')}/dagRuns/{quote(run_id or '~', safe='~')}/taskInstances"
        query: dict[str, Any] = {"operator": list(operators), "limit": _PAGE}
        if since is not None:
            query["updated_at_gte"] = since.isoformat()
        cursor: str | None = ""
        while cursor is not None:
            answer = self._json("GET", path, query={**query, "cursor": cursor})
            page = _convert(answer, _TaskPage)
            yield from page.task_instances
            cursor = page.next_cursor

    def record(self, task: Task) -> RunRecord | None:
        """
        Return a task's record, or None where there is none.

        :raises RecordError: it cannot be read, or a newer version of this provider wrote it.
        """
        try:
            answer = self._json("GET", _store_path(task), query={"map_index": task.map_index})
        except AirflowApiError as error:
            if error.status_code == 404:
                return None
            raise
        return record_from(answer["value"], RunRecord)

    def write(self, task: Task, record: RunRecord) -> None:
        """
        Write a task's record, never to expire, and read it again.

        :raises AirflowApiError: it was not written, or something else stands there afterwards.
        """
        path, query = _store_path(task), {"map_index": task.map_index}
        value = as_json(record)
        self._send("PUT", path, query=query, body={"value": value, "expires_at": None})
        found = self._json("GET", path, query=query)
        if record_from(found["value"], RunRecord) != record_from(value, RunRecord) or found["expires_at"] is not None:
            raise AirflowApiError(
                f"the record of {task} was written, but something else stands there now: look at it before you go on"
            )

    # --- the token

    def _login(self, username: str | None) -> str:
        password = os.environ.get("AIRFLOW_API_PASSWORD")
        if username is None:
            try:
                answer = self._json("GET", "/auth/token")
            except AirflowApiError as error:
                if error.status_code is None:
                    raise
            else:
                self._anonymous = True
                return _token(answer)
            if not sys.stdin.isatty():
                raise AirflowApiError(
                    "Airflow's API wants to know who you are: give a token in AIRFLOW_API_TOKEN, or --username and a "
                    "password in AIRFLOW_API_PASSWORD"
                )
            sys.stderr.write("User name in Airflow: ")
            sys.stderr.flush()
            username = input()
        body = {"username": username, "password": password or getpass.getpass(f"Password of {username} in Airflow: ")}
        return _token(self._json("POST", "/auth/token", body=body))

    # --- requests

    def _json(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: object = None) -> Any:
        answer = self._send(method, path, query=query, body=body)
        try:
            return answer.json()
        except ValueError as error:
            raise AirflowApiError(f"{self.url} does not answer as Airflow's API does; give --api-url") from error

    def _send(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: object = None) -> Response:
        import requests

        try:
            answer = self._session.request(
                method, self.url + path, params=query, json=body, timeout=_TIMEOUT, allow_redirects=False
            )
        except requests.RequestException as error:
            raise AirflowApiError(
                f"Airflow's API server cannot be reached at {self.url}: set [api] base_url, or give --api-url. {error}"
            ) from error
        if answer.status_code // 100 == 2:
            return answer
        raise AirflowApiError(_complaint(method, path, answer), answer.status_code)


class _TaskPage(msgspec.Struct, frozen=True):
    task_instances: list[Task]
    next_cursor: str | None = None


def _convert(answer: object, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise AirflowApiError(
            f"Airflow's API answers otherwise than expected, 3.3 or later is needed: {error}"
        ) from error


def _complaint(method: str, path: str, answer: Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.reason
    if answer.status_code == 401:
        return f"Airflow's API does not accept the token or password ({detail}): give a new one"
    if answer.status_code == 403:
        return f"Airflow's API does not allow you to {method} {path}: {detail}"
    return f"Airflow's API answered {answer.status_code} to {method} {path}: {detail}"


def _token(answer: object) -> str:
    if isinstance(answer, Mapping) and answer.get("access_token"):
        return str(answer["access_token"])
    raise AirflowApiError("Airflow gave no token; give one in AIRFLOW_API_TOKEN")


def _path(dag_id: str, run_id: str, task_id: str) -> str:
    dag, run, task = (quote(part, safe="") for part in (dag_id, run_id, task_id))
    return f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}"


def _store_path(task: Task) -> str:
    return f"{_path(task.dag_id, task.dag_run_id, task.task_id)}/state-store/{STORE_KEYS[RunRecord]}"
