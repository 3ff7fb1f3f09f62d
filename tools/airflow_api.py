"""A small client of Airflow's REST API, as far as the demo, the benchmarks and the tests need it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

Found = TypeVar("Found")

RUN_ENDED = frozenset({"success", "failed"})
TASK_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class AirflowApiError(Exception):
    """Airflow's API refused something; the text names the request, the status and the answer."""


class WaitError(Exception):
    """What was waited for did not come in time; the text says what, and what was there instead."""


def wait_until(
    look: Callable[[], Found | None], timeout: float, what: Callable[[], str] | str, interval: float = 0.2
) -> Found:
    """Return the first answer of `look` that is neither None nor False.

    :param timeout: seconds after which WaitError is raised.
    :param what: what is waited for, in words; a function is asked at the end, to say what there is instead.
    :param interval: seconds between two looks.
    """
    deadline = time.monotonic() + timeout
    never = threading.Event()
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise WaitError(f"waited {timeout:.0f} s for {what() if callable(what) else what}")
        never.wait(interval)


class AirflowApi:
    """Airflow's REST API under `url`, logged in as an administrator where all are (`login`)."""

    def __init__(self, url: str) -> None:
        """Make a client that is not logged in yet."""
        self.url = url
        self._session = requests.Session()
        # Airflow on SQLite answers 500 now and then, when all write at once; a read may be repeated.
        retry = Retry(total=5, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504], allowed_methods=["GET"])
        self._session.mount(url, HTTPAdapter(max_retries=retry))
        # Environment variables with a proxy or a CA bundle have no say about this machine.
        self._session.trust_env = False

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def login(self) -> None:
        """Get a token (SIMPLE_AUTH_MANAGER_ALL_ADMINS gives one to everybody)."""
        answer = self._send("GET", "/auth/token")
        self._session.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def reachable(self) -> bool:
        """Say whether the API server listens yet. One try, no error."""
        try:
            return requests.get(f"{self.url}/api/v2/version", timeout=5).ok
        except requests.RequestException:
            return False

    def health(self) -> dict[str, str | None]:
        """Return the status of each component: metadatabase, scheduler, triggerer, dag_processor."""
        answer = self._send("GET", "/api/v2/monitor/health")
        return {name: part["status"] for name, part in answer.items() if part}

    # -- connections ---------------------------------------------------------------------------------------------

    def add_connection(self, connection_id: str, conn_type: str, **fields: object) -> None:
        """Write a connection to Airflow's database; fields as in the REST API (host, login, password, extra, …)."""
        self._send("POST", "/api/v2/connections", {"connection_id": connection_id, "conn_type": conn_type, **fields})

    def delete_connection(self, connection_id: str) -> None:
        """Remove a connection from Airflow's database."""
        self._send("DELETE", f"/api/v2/connections/{quote(connection_id, safe='')}")

    def connection(self, connection_id: str) -> dict[str, Any]:
        """Return a connection as the UI shows it: its secret as stars."""
        return dict(self._send("GET", f"/api/v2/connections/{quote(connection_id, safe='')}"))

    def test_connection(self, conn_type: str, **fields: object) -> tuple[bool, str]:
        """Let the API server test a connection, as the button of the UI does; one that is not saved without an id."""
        body = {"connection_id": "tested", "conn_type": conn_type, **fields}
        answer = self._send("POST", "/api/v2/connections/test", body)
        return answer["status"], answer["message"]

    # -- DAGs and runs -------------------------------------------------------------------------------------------

    def import_errors(self) -> list[str]:
        """Return what went wrong when DAG files were read."""
        return [f"{error['filename']}: {error['stack_trace']}" for error in self._import_errors()]

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> None:
        """Wait until the DAG processor has found this DAG."""

        def look() -> bool:
            answer = self._send("GET", f"/api/v2/dags/{quote(dag_id, safe='')}", missing_ok=True)
            return answer is not None and answer.get("is_stale") is not True

        wait_until(look, timeout, lambda: f"the DAG {dag_id!r}; import errors: {self.import_errors() or 'none'}")

    def trigger(self, dag_id: str, conf: Mapping[str, object] | None = None, run_id: str | None = None) -> str:
        """Start a run of a DAG and return its run id."""
        body: dict[str, object] = {"logical_date": None, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        return str(self._send("POST", f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns", body)["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return a run's state."""
        return str(self._send("GET", _run(dag_id, run_id))["state"])

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 90, states: Collection[str] = RUN_ENDED) -> str:
        """Wait until a run is in one of these states, and return it."""

        def look() -> str | None:
            state = self.run_state(dag_id, run_id)
            return state if state in states else None

        return wait_until(look, timeout, lambda: f"the run {run_id} of {dag_id}: {self.states(dag_id, run_id)}")

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a run as success or failed, as a person does in the UI."""
        self._send("PATCH", _run(dag_id, run_id), {"state": state})

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Delete a run that has ended."""
        self._send("DELETE", _run(dag_id, run_id))

    # -- task instances ------------------------------------------------------------------------------------------

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return a run's task instances, as the API gives them."""
        answer = self._send("GET", _run(dag_id, run_id) + "/taskInstances", params={"limit": 1000})
        return list(answer["task_instances"])

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return the state of each task instance, by task id (with [map index] where mapped)."""
        return {
            item["task_id"] + (f"[{item['map_index']}]" if item["map_index"] >= 0 else ""): item["state"]
            for item in self.task_instances(dag_id, run_id)
        }

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return one task instance, as the API gives it."""
        return dict(self._send("GET", _task(dag_id, run_id, task_id, map_index)))

    def wait_for_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: Collection[str] = TASK_ENDED,
        *,
        map_index: int = -1,
        timeout: float = 60,
        min_try: int = 0,
    ) -> dict[str, Any]:
        """Wait until a task instance is in one of these states, and return it.

        :param min_try: look only from this try on (after a clear, the state of the try before is there for a while).
        """

        def look() -> dict[str, Any] | None:
            item = self.task_instance(dag_id, run_id, task_id, map_index)
            return item if item["state"] in states and item["try_number"] >= min_try else None

        return wait_until(
            look, timeout, lambda: f"{task_id} to be one of {sorted(states)}: {self.states(dag_id, run_id)}"
        )

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1
    ) -> Any:  # whatever a task gave, as JSON
        """Return a task's XCom, or None where there is none."""
        path = f"{_task(dag_id, run_id, task_id)}/xcomEntries/{quote(key, safe='')}"
        answer = self._send("GET", path, params={"map_index": map_index}, missing_ok=True)
        return None if answer is None else answer["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Return the log of a try of a task as text: a line for each message, with what it says of an exception."""
        path = f"{_task(dag_id, run_id, task_id)}/logs/{try_number}"
        answer = self._send("GET", path, params={"map_index": map_index, "full_content": "true"}, missing_ok=True)
        return "\n".join(_log_line(message) for message in (answer["content"] if answer else []))

    def state_store(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return what a task keeps in its state store, by key."""
        path = f"{_task(dag_id, run_id, task_id)}/state-store"
        answer = self._send("GET", path, params={"map_index": map_index})
        return {item["key"]: item["value"] for item in answer["task_state_store"]}

    def clear_state_store(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> None:
        """Remove all that a task keeps in its state store, as a person does in the UI."""
        path = f"{_task(dag_id, run_id, task_id)}/state-store"
        self._send("DELETE", path, params={"map_index": map_index})

    def clear(self, dag_id: str, run_id: str, task_ids: Collection[str | tuple[str, int]], **options: object) -> None:
        """Clear task instances, as a person does in the UI; further options as in the REST API."""
        body = {"dry_run": False, "only_failed": False, "dag_run_id": run_id, "task_ids": list(task_ids), **options}
        self._send("POST", f"/api/v2/dags/{quote(dag_id, safe='')}/clearTaskInstances", body)

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Mark a task instance as success, failed or skipped, as a person does in the UI."""
        self._send("PATCH", _task(dag_id, run_id, task_id, map_index), {"new_state": state})

    # -- requests ------------------------------------------------------------------------------------------------

    def _import_errors(self) -> list[dict[str, Any]]:
        return list(self._send("GET", "/api/v2/importErrors")["import_errors"])

    def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, str | int] | None = None,
        missing_ok: bool = False,
    ) -> Any:  # JSON of many shapes
        answer = self._session.request(method, self.url + path, json=body, params=params, timeout=60)
        if missing_ok and answer.status_code == 404:
            return None
        if not answer.ok:
            raise AirflowApiError(f"{method} {path}: {answer.status_code} {answer.text[:2000]}")
        return answer.json() if answer.content else None


def _run(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"


def _task(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    mapped = f"/{map_index}" if map_index >= 0 else ""
    return f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}{mapped}"


def _log_line(message: str | dict[str, Any]) -> str:
    if isinstance(message, str):
        return message
    parts = [message.get("timestamp"), message.get("level"), message["event"], message.get("error_detail")]
    return " ".join(str(part) for part in parts if part)
