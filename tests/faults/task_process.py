"""
Runs executions of a task, and triggers, each in a process of its own that can be killed for real.

``python -m tests.faults.task_process`` loads everything once, then forks a process for each line of JSON that it reads,
and prints its process id. What Airflow's API server is to a task, the test process is to these, over HTTP.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib
import json
import os
import signal
import sys
import traceback
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from airflow_provider_orchestration.triggers import instance as triggers
from tests.faults.quick import make_quick
from tests.support.task_life import DagRun, TaskInstance, one_event, told

#: What an execution loads when it acts; here before the first fork.
LOADED = ("airflow_provider_orchestration.api.client", "airflow_provider_orchestration.run.submit.submission")


class Airflow:
    """Airflow's API server, as an execution sees it."""

    def __init__(self, url: str, execution: int) -> None:
        self._address = urlsplit(url).netloc
        self._execution = execution

    def call(self, path: str, **body: Any) -> Any:
        """Ask for something. :raises RuntimeError: it was refused."""
        connection = http.client.HTTPConnection(self._address, timeout=120)
        try:
            connection.request("POST", path, json.dumps({"execution": self._execution, **body}))
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {text}")
        return json.loads(text)

    def get(self, key: str, default: Any = None) -> Any:
        """Read from the state store."""
        value = self.call("/get", key=key)
        return default if value is None else value

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Write to the state store."""
        self.call("/set", key=key, value=value)


class _TaskInstance(TaskInstance):
    airflow: Airflow

    def xcom_push(self, key: str, value: Any) -> None:
        self.airflow.call("/xcom", key=key, value=value)


def execute(airflow: Airflow, order: dict[str, Any]) -> dict[str, Any]:
    """Run one execution of a task, and return what is to be reported."""
    operator = RunWorkflowOperator(**order["operator"])
    ti = _TaskInstance(**order["ti"], xcoms={})
    ti.airflow = airflow
    context: Any = {"ti": ti, "dag_run": DagRun(datetime.now(UTC)), "task_state_store": airflow}
    try:
        if order["method"] == "execute":
            result = operator.execute(context)
        else:
            result = operator.resume_execution(order["method"], order["kwargs"], context)
    except TaskDeferred as deferred:
        path, arguments = deferred.trigger.serialize()
        return {
            "state": "deferred",
            "trigger": {"class": path.rpartition(".")[2], "arguments": arguments},
            "method": deferred.method_name,
            "kwargs": deferred.kwargs or {},
        }
    except AirflowFailException as error:
        return {"state": "failed", "error": told(error)}
    except Exception as error:  # noqa: BLE001 - as Airflow does
        return {"state": "up_for_retry", "error": f"{type(error).__name__}: {error}"}
    return {"state": "success", "result": result}


def trigger(order: dict[str, Any]) -> dict[str, Any]:
    """Run a trigger to its one event."""
    made = getattr(triggers, order["trigger"]["class"])(**order["trigger"]["arguments"])
    return {"state": "event", "event": asyncio.run(one_event(made))}


def _child(order: dict[str, Any]) -> None:
    os.environ |= order["env"]
    make_quick(**order["settings"])
    airflow = Airflow(order["url"], order["execution"])
    airflow.call("/report", **(trigger(order) if "trigger" in order else execute(airflow, order)))


def main() -> None:
    """Fork a process for each order."""
    for module in LOADED:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        code = 1
        try:
            os.close(0)
            os.dup2(2, 1)  # its log is no answer to an order
            _child(json.loads(line))
            code = 0
        except BaseException:  # noqa: BLE001 - a process ends here, whatever it was
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)


if __name__ == "__main__":
    main()
