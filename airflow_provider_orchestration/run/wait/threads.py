"""The client of a connection in the threads of its process, for those who may not block an event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    ConnectionConfigError,
    NotConnectedError,
    ServerTroubleError,
)
from airflow_provider_orchestration.run import settings
from airflow_provider_orchestration.run.wait import pools

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.settings import ClientSettings

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

#: Errors of a server that could not be reached, or gave no answer in time.
_NO_ANSWER = (NotConnectedError, ServerTroubleError)
#: Seconds after which a connection changed in Airflow is taken up.
CONNECTION_HOLDS = 60.0


class ThreadedClient:
    """
    Calls functions with the client of an Airflow connection, in the threads of :mod:`~.pools`.

    The connection is read again every 60 s, and at once where it is refused (401). A server that has not answered yet,
    or did not the last time, is asked one thing at a time, in threads that wait for such servers only.
    """

    def __init__(self, formance_conn_id: str) -> None:
        self._conn_id = formance_conn_id
        self._users = 0
        self._slots: asyncio.Semaphore | None = None
        self._list_slot = asyncio.Semaphore(1)
        self._one_slot = asyncio.Semaphore(1)
        self._answers: bool | None = None
        self._client: FlowsClient | None = None
        self._settings: ClientSettings | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    # Not a context manager: one of those for each of ten thousand who wait would cost megabytes.
    def begin_use(self) -> None:
        """Keep threads and connections until :meth:`end_use`."""
        self._users += 1
        pools.begin_use()

    def end_use(self) -> None:
        """Let go of threads and connections with the last user."""
        self._users -= 1
        if self._users == 0:
            self._end()
        pools.end_use()

    @property
    def in_use(self) -> bool:
        """Whether somebody uses it."""
        return self._users > 0

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
            if self._slots is None:
                self._slots = asyncio.Semaphore(max(1, settings.requests_at_once() - 1))
            pool = pools.LISTS if in_list_thread else pools.READS
            # Kept until a refusal is one: who is next is to know of it.
            async with self._list_slot if in_list_thread else self._slots:
                try:
                    return await self._in_thread(function, client, pool)
                except AuthenticationError:
                    other = await self._get_client(asked_at)
                    if other is client:
                        raise
                    # A 401 proves that nothing was done, so this is safe for a write, too.
                    return await self._in_thread(function, other, pool)
        finally:
            self.end_use()

    async def _in_thread(self, function: Callable[[FlowsClient], T], client: FlowsClient, pool: str) -> T:
        if self._answers:
            return await self._run(function, client, pool)
        async with self._one_slot:
            return await self._run(function, client, pools.SILENT if self._answers is False else pool)

    async def _run(self, function: Callable[[FlowsClient], T], client: FlowsClient, pool: str) -> T:
        try:
            result = await asyncio.get_running_loop().run_in_executor(pools.threads(pool), function, client)
        except _NO_ANSWER:
            self._answers = False
            raise
        # A look holds the error that it met.
        self._answers = not isinstance(getattr(result, "error", None), _NO_ANSWER)
        return result

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
        if self._client is not None:
            self._client.close()
        self._slots = self._client = self._settings = None
        self._read_at = float("-inf")
