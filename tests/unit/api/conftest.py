from __future__ import annotations

import contextlib
import logging
import ssl
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orchestration.api.client import FlowsClient
from airflow_provider_orchestration.api.session import ClientSettings
from tests.support.certificates import self_signed
from tests.support.scripted_server import Answer, ScriptedServer

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cret-%+:ä"
Serve = Callable[..., ScriptedServer]
Connect = Callable[..., FlowsClient]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that answer what the test says."""
    with contextlib.ExitStack() as stack:
        yield lambda *answers, **options: stack.enter_context(ScriptedServer(*(answers or [Answer()]), **options))


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients of a server; they have credentials, and hardly pause between tries."""
    # Tokens are shared in the process, and a port may be used again: each test is somebody else.
    client_id = f"me-{uuid.uuid4().hex}"
    with contextlib.ExitStack() as stack:

        def make(server: ScriptedServer | str, on_token: Callable[[str], None] | None = None, **options) -> FlowsClient:
            url = server if isinstance(server, str) else server.url
            settings: dict[str, Any] = {
                "token_url": f"{url}/token",
                "client_id": client_id,
                "client_secret": SECRET,
                "first_pause": 0.001,
                "read_timeout": 5.0,
            } | options
            return stack.enter_context(FlowsClient(ClientSettings(base_url=url, **settings), on_token))

        yield make


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _nothing_secret_in_logs(caplog) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert SECRET not in caplog.text
    assert "token-1-" not in caplog.text


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, with its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def server_tls(certificate) -> ssl.SSLContext:
    """TLS with `certificate`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
