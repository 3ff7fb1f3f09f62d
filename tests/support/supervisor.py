"""What stands between a trigger and Airflow's API: takes the XComs that a trigger gives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import SetXCom

#: Tasks of a test run in threads: the one who came first may go first.
_THERE: list[Supervisor] = []
_CHANGING = threading.Lock()


class Supervisor:
    """
    Answers nothing, as Airflow's does, and keeps the XComs.

    :param refuses: raised for each XCom.
    :param takes: seconds for each answer; it gives one after another, as Airflow's does.
    """

    def __init__(self, refuses: Exception | None = None, takes: float = 0.0) -> None:
        self.xcoms: dict[str, Any] = {}
        self.refuses = refuses
        self.takes = takes
        self._turn = asyncio.Lock()

    def send(self, message: Any) -> None:
        """Take a message."""
        if isinstance(message, SetXCom):
            if self.refuses is not None:
                raise self.refuses
            self.xcoms[message.key] = json.loads(json.dumps(message.value))

    async def asend(self, message: Any) -> None:
        """Take a message."""
        async with self._turn:
            await asyncio.sleep(self.takes)
        self.send(message)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Be there for the triggers of this process, until the last of those who are there has gone."""
        module: Any = task_runner
        with _CHANGING:
            _THERE.append(self)
            module.SUPERVISOR_COMMS = self
        try:
            yield
        finally:
            with _CHANGING:
                _THERE.remove(self)
                if _THERE:
                    module.SUPERVISOR_COMMS = _THERE[-1]
                else:
                    # Where it stays, Airflow takes all that comes later for a task.
                    del module.SUPERVISOR_COMMS
