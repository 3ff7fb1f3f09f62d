"""A gate before a server: a relay whose port can refuse connections for a while, and cut those that there are."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType


class Gate:
    """
    Relays TCP connections to a port of this machine while it is open; a context manager, open at first.

    While it is closed its port refuses connections (nobody else can take it), and those that there were are reset.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        #: First the one that accepts, then those that relay.
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self._holder: socket.socket | None = None
        self.port = 0

    def __enter__(self) -> Gate:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._holder is not None:
            self._holder.close()

    def open(self) -> None:
        """Let connections through."""
        if self._listener is not None:
            return
        listener = _bound(self.port)
        if self._holder is not None:
            self._holder.close()
            self._holder = None
        listener.listen(64)
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        self._start(self._accept, listener)

    def close(self) -> None:
        """Refuse connections, and reset those that there are."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self._holder = _bound(self.port)
        # A listener that is being waited for is woken by a shutdown, not by a close.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting, *_ = self._threads
        accepting.join(10)
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _reset(end)
        # A reset is sent when nobody reads from the socket any more.
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()

    def _start(self, function: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), 10)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            with self._lock:
                self._pairs.append((client, server))
            self._start(_pump, client, server)
            self._start(_pump, server, client)


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Both the one that listens and the one that holds the port while nobody does have it for a moment.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RD)
    end.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
