"""The client of a connection in a bounded set of threads, for those who may not block an event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_orchestration.exceptions import AuthenticationError, ConnectionConfigError
from airflow_provider_orchestration.run import settings

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.settings import ClientSettings

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds after which a connection changed in Airflow is taken up.
CONNECTION_HOLDS = 60.0


class ThreadedClient:
    """
    Calls functions with the client of an Airflow connection, in threads that end with the last user.

    The connection is read again every 60 s, and at once where it is refused (401).
    """

    def __init__(self, formance_conn_id: str) -> None:
        self._conn_id = formance_conn_id
        self._users = 0
        self._threads: ThreadPoolExecutor | None = None
        self._list_thread: ThreadPoolExecutor | None = None
        self._client: FlowsClient | None = None
        self._settings: ClientSettings | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    # Not a context manager: one of those for each of ten thousand who wait would cost megabytes.
    def begin_use(self) -> None:
        """Keep threads and connections until :meth:`end_use`."""
        self._users += 1

    def end_use(self) -> None:
        """Let go of threads and connections with the last user."""
        self._users -= 1
        if self._users == 0:
            self._end()

    async def prepare(self) -> None:
        """Have the client at hand before the first call."""
        await self._get_client(time.monotonic() - CONNECTION_HOLDS)

    async def call(self, function: Callable[Concatenate[FlowsClient, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one function with the client in a thread; once more where the connection was changed in the meantime."""
        return await self._call(lambda client: function(client, *args, **kwargs), in_list_thread=False)

    async def call_list(
        self, function: Callable[Concatenate[FlowsClient, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """
        Run one function that reads a list of any length: one at a time, in a thread of its own.

        Each thread keeps the memory that its longest answer took.
        """
        return await self._call(lambda client: function(client, *args, **kwargs), in_list_thread=True)

    async def _call(self, function: Callable[[FlowsClient], T], *, in_list_thread: bool) -> T:
        self.begin_use()
        try:
            client = await self._get_client(time.monotonic() - CONNECTION_HOLDS)
            asked_at = time.monotonic()
            try:
                return await self._in_thread(function, client, in_list_thread)
            except AuthenticationError:
                other = await self._get_client(asked_at)
                if other is client:
                    raise
                # A 401 proves that nothing was done, so this is safe for a write, too.
                return await self._in_thread(function, other, in_list_thread)
        finally:
            self.end_use()

    async def _in_thread(self, function: Callable[[FlowsClient], T], client: FlowsClient, in_list_thread: bool) -> T:
        if self._threads is None or self._list_thread is None:
            at_once = settings.requests_at_once()
            self._threads = ThreadPoolExecutor(max(1, at_once - 1), thread_name_prefix="formance-poller")
            self._list_thread = ThreadPoolExecutor(1, "formance-poller-lists") if at_once > 1 else self._threads
        threads = self._list_thread if in_list_thread else self._threads
        return await asyncio.get_running_loop().run_in_executor(threads, function, client)

    async def _get_client(self, read_since: float) -> FlowsClient:
        """Return the client of the connection as it was at this monotonic time or later."""
        async with self._lock:
            if self._client is None or self._read_at < read_since:
                self._client = await self._read_connection(self._client)
                self._read_at = time.monotonic()
            return self._client

    async def _read_connection(self, client: FlowsClient | None) -> FlowsClient:
        from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook

        try:
            fresh = await OrchestrationHook.get_async_settings(self._conn_id)
        except (ConnectionConfigError, AirflowNotFoundException):
            raise
        except Exception as error:
            if client is None:
                raise
            # Airflow's API is away for a while: what it said before is as good.
            log.warning("connection %r cannot be read again, it is used as it was: %s", self._conn_id, error)
            return client
        if client is not None and fresh == self._settings:
            return client
        # The old client is not closed: requests may be under way. Its connections go with it.
        self._settings = fresh
        return await asyncio.to_thread(OrchestrationHook.client_for, fresh)

    def _end(self) -> None:
        for threads in (self._threads, self._list_thread):
            if threads is not None:
                threads.shutdown(wait=False)
        if self._client is not None:
            self._client.close()
        self._threads = self._list_thread = self._client = self._settings = None
        self._read_at = float("-inf")
