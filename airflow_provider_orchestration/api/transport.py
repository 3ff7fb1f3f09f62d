"""
Connections whose answers come to an end: a server that sends a byte now and then never reaches a read time-out.

urllib3 limits each wait for more bytes. Here the whole answer, from the first wait for its head, is limited, too.
"""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any, ClassVar

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

#: So many times the read time-out the whole answer may take.
WHOLE_ANSWER = 2.0


class _LimitedReader(io.RawIOBase):
    """Reads from a socket until a moment after which no more is waited for."""

    def __init__(self, sock: socket.socket, limit: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._limit = limit
        self._until = time.monotonic() + limit * WHOLE_ANSWER

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = max(0.001, self._until - time.monotonic())
        self._sock.settimeout(min(left, self._limit))
        try:
            return self._raw.readinto(buffer)
        except TimeoutError:
            if left >= self._limit:
                raise
            raise TimeoutError(f"the answer was not whole after {self._limit * WHOLE_ANSWER:g} s") from None
        finally:
            if self._sock.fileno() >= 0:
                self._sock.settimeout(self._limit)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _LimitedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if limit := sock.gettimeout():
            self.fp.close()
            self.fp = io.BufferedReader(_LimitedReader(sock, limit))


class _Connection(HTTPConnection):
    response_class = _LimitedResponse


class _TlsConnection(HTTPSConnection):
    response_class = _LimitedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class LimitedAdapter(HTTPAdapter):
    """An adapter of requests whose answers are whole within twice the read time-out, or fail as one that timed out."""

    _pools: ClassVar[dict[str, Any]] = {"http": _Pool, "https": _TlsPool}

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> PoolManager:
        """Return the pools of a proxy."""
        manager: PoolManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager
