"""A real Airflow on this machine: api-server, scheduler, DAG processor and triggerer as processes, until it is closed.

Everything lives in a temporary AIRFLOW_HOME and listens on free ports of 127.0.0.1: any number can run side by side.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tools.airflow_api import AirflowApi
from tools.processes import Component, Guard, ProcessError, check_port, free_port

ROOT = Path(__file__).resolve().parent.parent
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
# The command that belongs to this interpreter, whatever stands on the PATH.
AIRFLOW = (sys.executable, "-m", "airflow")
SAY_NOTHING: Callable[[str], None] = lambda _text: None  # noqa: E731


class AirflowStack:
    """Context manager: an Airflow that is healthy inside of the block, and gone after it, whatever happened.

    :param dag_folders: folders with DAG files.
    :param port: port of the API and UI; a free one where None.
    :param sql_alchemy_conn: address of an empty PostgreSQL database; SQLite in the temporary folder where None.
    :param env: further environment variables of all components (a value None removes one).
    :param say: called with a line for each step that begins.
    :param start_timeout: seconds until all components must be healthy.
    """

    def __init__(
        self,
        dag_folders: Sequence[Path],
        *,
        port: int | None = None,
        sql_alchemy_conn: str | None = None,
        env: Mapping[str, str | None] | None = None,
        say: Callable[[str], None] = SAY_NOTHING,
        start_timeout: float = 180,
    ) -> None:
        """Nothing runs yet."""
        self._dag_folders = dag_folders
        self._port = port
        self._sql_alchemy_conn = sql_alchemy_conn
        self._more_env = dict(env or {})
        self._say = say
        self._start_timeout = start_timeout
        self._closing = contextlib.ExitStack()
        self.components: dict[str, Component] = {}

    def __enter__(self) -> AirflowStack:
        """Start everything and wait until it is healthy."""
        try:
            self._start()
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End every process and remove the folder."""
        self._closing.close()

    # -- while it runs -------------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """SIGKILL a component and all that it started, as if its machine had gone."""
        self.components[name].kill()

    def restart(self, name: str) -> None:
        """Start a component that was killed; its health is the caller's to wait for."""
        self.components[name].start()

    def check(self) -> None:
        """Raise ProcessError, with the end of the log, where a component has ended."""
        for component in self.components.values():
            component.check()

    def airflow(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `airflow` with these arguments in the environment of the components, and return what it printed."""
        command = [*AIRFLOW, *arguments]
        return subprocess.run(
            command, env=self.env, cwd=self.home, capture_output=True, text=True, timeout=timeout, check=False
        )

    def write_shell_settings(self) -> Path:
        """Write a file that a shell reads (`. FILE`) to run `airflow` beside the components, and return its path."""
        settings = {key: value for key, value in self.env.items() if key.startswith("AIRFLOW_")}
        # Another one: by theirs the components are known, and ended, and with them all that such a shell had started.
        settings["AIRFLOW_HOME"] = str(self.home / "shell")
        settings["PATH"] = f"{Path(sys.executable).parent}:{self.env.get('PATH', '')}"
        path = self.home / "settings.sh"
        path.write_text("".join(f"export {key}={shlex.quote(value)}\n" for key, value in settings.items()))
        return path

    def log_tails(self, lines: int = 15) -> str:
        """Return the end of the log of each component, for a person who looks for a reason."""
        parts = [f"--- {name}\n{component.log_tail(lines)}" for name, component in self.components.items()]
        return "\n".join(parts)

    # -- start ---------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._port is not None:
            try:
                check_port(self._port)
            except OSError as error:
                raise ProcessError(
                    f"port {self._port} is taken: name another by AIRFLOW_PORT, or none to get a free one"
                ) from error
        self.port = self._port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = Path(tempfile.mkdtemp(prefix="airflow-"))
        guard = Guard(self.home)
        self._closing.callback(self._reap)
        self._closing.callback(guard.close)
        (self.home / "tmp").mkdir()
        self.env = self._environment()

        self._say("Making Airflow's database")
        migrated = self.airflow("db", "migrate")
        if migrated.returncode != 0:
            raise ProcessError(f"airflow db migrate failed:\n{migrated.stdout[-3000:]}{migrated.stderr[-3000:]}")
        self._say(f"Starting Airflow: {', '.join(COMPONENTS)}")
        for name in COMPONENTS:
            component = Component(name, [*AIRFLOW, name], self.env, self.home / f"{name}.log")
            self.components[name] = component
            component.start()
        self.api = AirflowApi(self.url)
        self._closing.callback(self.api.close)
        self._wait_for("the API server", self.api.reachable)
        self.api.login()
        self._wait_for("all components to be healthy", self._healthy)

    def _reap(self) -> None:
        for component in self.components.values():
            component.reap()

    def _healthy(self) -> bool:
        health = self.api.health()
        return len(health) == 4 and set(health.values()) == {"healthy"}

    def _wait_for(self, what: str, look: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._start_timeout
        never = threading.Event()
        while not look():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessError(f"waited {self._start_timeout:.0f} s for {what}\n{self.log_tails()}")
            never.wait(0.2)

    def _environment(self) -> dict[str, str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW_", "PYTEST_"))}
        # Bytecode saves each process seconds; what lies on the path of ours must be found by the components, too.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        bundles = [
            {
                "name": "-".join(folder.absolute().parts[-2:]),
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder.absolute()), "refresh_interval": 5},
            }
            for folder in self._dag_folders
        ]
        settings = {
            "AIRFLOW_HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            # setproctitle would write its titles over the environment, by which our processes are known.
            "SPT_NOENV": "1",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            # Seconds; a machine that runs everything at once can lose a task's resume, and nobody waits five minutes.
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "3",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__FERNET_KEY": _fernet_key(),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._sql_alchemy_conn or f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            # Seconds (5 unless told) for which a supervisor can oversee that its task has ended. What is resumed within
            # them counts as lost: the scheduler takes the late report for that of the part that runs now.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        }
        changed: dict[str, str | None] = {**env, **settings, **self._more_env}
        return {key: value for key, value in changed.items() if value is not None}


def _fernet_key() -> str:
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()
