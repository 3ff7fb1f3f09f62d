"""The client of a connection in a bounded set of threads, for those who may not block an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from airflow_provider_orchestration.run import settings

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.settings import ClientSettings

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds after which a connection changed in Airflow is taken up.
CONNECTION_HOLDS = 60.0


class ThreadedClient:
    """
    Calls functions with the client of an Airflow connection, in threads that end with the last user.

    The connection is read again every 60 s, and at once after :meth:`doubt`.
    """

    def __init__(self, formance_conn_id: str) -> None:
        self._conn_id = formance_conn_id
        self._users = 0
        self._threads: ThreadPoolExecutor | None = None
        self._client: FlowsClient | None = None
        self._settings: ClientSettings | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep threads and connections for the time of the block."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                self._end()

    def doubt(self) -> None:
        """Have the connection read again before the next call (it was refused)."""
        self._read_at = float("-inf")

    async def call(self, function: Callable[Concatenate[FlowsClient, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one function with the client in a thread."""
        with self.used():
            client = await self._get_client()
            if self._threads is None:
                self._threads = ThreadPoolExecutor(settings.requests_at_once(), thread_name_prefix="formance-poller")
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: function(client, *args, **kwargs)
            )

    async def _get_client(self) -> FlowsClient:
        from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook

        async with self._lock:
            if self._client is None or time.monotonic() - self._read_at > CONNECTION_HOLDS:
                fresh = await OrchestrationHook.get_async_settings(self._conn_id)
                self._read_at = time.monotonic()
                if self._client is None or fresh != self._settings:
                    # The old client is not closed: requests may be under way. Its connections go with it.
                    self._settings = fresh
                    self._client = await asyncio.to_thread(OrchestrationHook.client_for, fresh)
            return self._client

    def _end(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)
        if self._client is not None:
            self._client.close()
        self._threads = self._client = self._settings = None
        self._read_at = float("-inf")
