"""A process whose waiting tasks come and go for as long as one likes, to see what it keeps."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.waiting_parts.client import Client


class SoakClient(Client):
    """The tasks that wait, by connection; those that have their event are forgotten, as a triggerer does."""

    def __init__(self, order: dict[str, Any]) -> None:
        super().__init__(order)
        self.waiting: dict[str, set[asyncio.Task[Any]]] = defaultdict(set)
        self.verdicts: Counter[str] = Counter()

    def _soak(self) -> list[Any]:
        return []

    def _tell_come(self, connections: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Have connections in Airflow."""
        for conn_id, connection in connections.items():
            os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)
        return {}

    def _tell_leave(self, conn_id: str) -> dict[str, Any]:
        """Have those who wait on a connection go, and the connection, too."""
        left = [task for task in self.waiting.pop(conn_id) if task.cancel()]
        del os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"]
        return {"left": len(left)}

    def _tell_begin(self, begin: list[tuple[str, str, str]]) -> dict[str, Any]:
        """Begin to wait: for each connection, instance and workflow."""
        for conn_id, instance, workflow in begin:
            waiting = self.waiting[conn_id]
            waiting.add(task := asyncio.create_task(self._await_end(conn_id, instance, workflow)))
            task.add_done_callback(waiting.discard)
        return {}

    async def _await_end(self, conn_id: str, instance: str, workflow: str) -> None:
        from airflow_provider_orchestration.triggers.instance import InstanceEndTrigger

        trigger = InstanceEndTrigger(
            formance_conn_id=conn_id,
            instance_id=instance,
            workflow_id=workflow,
            poll_interval=self.order["interval"],
            deadline=time.time() + 86400,
        )
        try:
            async for event in trigger.run():
                self.verdicts[event.payload["verdict"]] += 1
        except Exception as error:  # noqa: BLE001 - a verdict that must not be, and is told
            self.verdicts[repr(error)] += 1

    def _tell_measure(self) -> dict[str, Any]:
        """Tell what this process holds, and how its tasks fared so far."""
        process = psutil.Process()
        return super()._tell_measure() | {
            "threads": process.num_threads(),
            "sockets": len(process.net_connections("inet")),
            "waiting": sum(len(tasks) for tasks in self.waiting.values()),
            "verdicts": dict(self.verdicts),
        }


if __name__ == "__main__":
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    asyncio.run(SoakClient(json.loads(Path(sys.argv[1]).read_text())).run())
