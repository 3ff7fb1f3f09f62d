"""A server of dbt Cloud's API, with TLS, as far as a waiting trigger asks it: the state of a run, which never ends."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from pathlib import Path

BODY = json.dumps(
    {
        "status": {"code": 200, "is_success": True, "user_message": "Success!", "developer_message": ""},
        "data": {
            "id": 1,
            "account_id": 1,
            "job_definition_id": 7,
            "status": 3,
            "status_humanized": "Running",
            "in_progress": True,
            "is_complete": False,
            "is_success": False,
            "is_error": False,
            "is_cancelled": False,
            "created_at": "2026-01-01 00:00:00+00:00",
            "href": "https://cloud.getdbt.com/#/accounts/1/projects/1/runs/1/",
        },
    }
).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n"
    % len(BODY)
) + BODY


class DbtCloudServer:
    """
    Runs in a thread of its own; a context manager.

    :param certificate: PEM file with a certificate for 127.0.0.1 and its key.
    """

    def __init__(self, certificate: Path) -> None:
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.requests = 0
        self.connections = 0
        self.port = 0

    def __enter__(self) -> DbtCloudServer:
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set_result, None)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.create_future()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._end
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                writer.write(ANSWER)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
