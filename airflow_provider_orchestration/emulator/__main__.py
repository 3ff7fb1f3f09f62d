"""``python -m airflow_provider_orchestration.emulator``: options, listening socket, signals."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sqlite3
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.importer import import_from_string

from airflow_provider_orchestration.emulator.http.app import App
from airflow_provider_orchestration.emulator.world.auth import FULL, READ_ONLY, Authority, Client
from airflow_provider_orchestration.emulator.world.engine import Pace
from airflow_provider_orchestration.emulator.world.generation import Generation
from airflow_provider_orchestration.emulator.world.world import World

_KEEP_ALIVE = 300  # seconds that an idle connection is kept, as the gateway of a stack keeps it


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} must be greater than 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_orchestration.emulator",
        description="A Formance stack with Flows and a ledger on this machine, for development and tests.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=8081, help="port to listen at; 0 takes a free one")
    parser.add_argument("--db", type=Path, help="SQLite file that keeps the state; in memory if not given")
    parser.add_argument("--client-id", default="demo", help="a client that may read and write")
    parser.add_argument("--client-secret", default="demo-secret", help="its secret")
    parser.add_argument("--read-only-client-id", default="demo-reader", help="a client that may only read")
    parser.add_argument("--read-only-client-secret", default="demo-reader", help="its secret")
    parser.add_argument("--no-auth", action="store_true", help="a stack without authentication")
    parser.add_argument("--token-seconds", type=_positive, default=3599.0, help="seconds that a token lasts")
    parser.add_argument(
        "--time-scale",
        type=_positive,
        default=1.0,
        help="every second of a workflow (a delay, the time until a date, the pauses between tries, the engine's own "
        "steps) takes this many seconds here: 0.1 is ten times as fast",
    )
    parser.add_argument(
        "--stage-delay",
        type=_positive,
        default=0.5,
        help="seconds, before --time-scale, from the start of an instance until its first stage listens",
    )
    parser.add_argument(
        "--abort",
        choices=("ignore", "honour"),
        help="what an abort does: nothing, as Flows 2.6, or the instance ends as failed with 'canceled', as the next "
        "server (default: as --server)",
    )
    parser.add_argument(
        "--server",
        choices=[one.value for one in Generation],
        default=Generation.V2_6.value,
        help="whose answers it gives: those of Flows up to 2.6, or of the next generation",
    )
    parser.add_argument("--tls-cert", type=Path, help="PEM file with a certificate: https")
    parser.add_argument("--tls-key", type=Path, help="PEM file with its key")
    return parser


class _Connection:
    """What is known of a TCP connection, for counting and for cutting it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.counted = False


def _protocol() -> type[Any]:
    """uvicorn's protocol; each request's state says on which connection it came."""
    base: Any = import_from_string(HTTP_PROTOCOLS["auto"])

    class Protocol(base):  # type: ignore[misc]
        app_state: dict[str, Any]

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self.app_state = {**self.app_state, "connection": _Connection(transport)}

    return Protocol


class _Server(uvicorn.Server):
    """Says when it listens, and ends with exit code 0 on a signal."""

    def __init__(self, config: uvicorn.Config, app: App, told: dict[str, str]) -> None:
        super().__init__(config)
        self.emulator = app
        self.told = told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.emulator.world.start()
        await super().startup(sockets=sockets)
        sys.stdout.write(json.dumps(self.told) + "\n")
        sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.emulator.stopping.set()
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        def end() -> None:
            self.should_exit = True

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once (TCP_NODELAY).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _refuse(why: str) -> int:
    sys.stderr.write(f"emulator: {why}\n")
    return 1


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal comes; gives the exit code."""
    sys.set_int_max_str_digits(0)  # an amount, Go's big.Int, may have as many as one likes
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.tls_cert is None) != (options.tls_key is None):
        parser.error("--tls-cert and --tls-key belong together")
    try:
        listener = _listen(options.host, options.port)
    except (OSError, OverflowError) as problem:
        return _refuse(f"cannot listen at {options.host} port {options.port}: {problem}")
    clients = {
        options.read_only_client_id: Client(options.read_only_client_secret, READ_ONLY),
        options.client_id: Client(options.client_secret, FULL),
    }
    authority = Authority({} if options.no_auth else clients, options.token_seconds)
    try:
        pace = Pace(options.time_scale, options.stage_delay)
        world = World(authority, pace, options.abort, options.db, Generation(options.server))
    except (sqlite3.Error, msgspec.MsgspecError) as problem:
        return _refuse(f"cannot use --db {options.db}: {problem}")
    return _serve(options, listener, world)


def _serve(options: argparse.Namespace, listener: socket.socket, world: World) -> int:
    app = App(world)
    config = uvicorn.Config(
        app,
        http=_protocol(),
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=1,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
    )
    scheme = "http" if options.tls_cert is None else "https"
    host = f"[{options.host}]" if ":" in options.host else options.host
    told = {
        "url": f"{scheme}://{host}:{listener.getsockname()[1]}",
        "client_id": "" if options.no_auth else options.client_id,
        "client_secret": "" if options.no_auth else options.client_secret,
    }
    try:
        config.load()
    except (OSError, ssl.SSLError) as problem:
        return _refuse(f"cannot use the certificate {options.tls_cert}: {problem}")
    try:
        asyncio.run(_Server(config, app, told).serve(sockets=[listener]))
    finally:
        world.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
