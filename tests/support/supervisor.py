"""What stands between a trigger and Airflow's API: takes the XComs that a trigger gives."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import SetXCom


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
        """Be there for the triggers of this process."""
        module: Any = task_runner
        before = getattr(module, "SUPERVISOR_COMMS", None)
        module.SUPERVISOR_COMMS = self
        try:
            yield
        finally:
            if before is None:
                del module.SUPERVISOR_COMMS
            else:
                module.SUPERVISOR_COMMS = before
