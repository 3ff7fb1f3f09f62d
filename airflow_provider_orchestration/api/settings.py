"""How to reach one Flows. Loads nothing, so that a connection can be read without the HTTP libraries."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from airflow_provider_orchestration.exceptions import InvalidInputError

DEFAULT_SCOPES = "openid orchestration:read orchestration:write"


@dataclass(frozen=True)
class ClientSettings:
    """
    How to reach one Flows, checked.

    :param base_url: address of Flows, e.g. ``https://stack.example.com/api/orchestration``
    :param token_url: address that gives tokens; None for a stack without authentication
    :param client_id: OAuth2 client id
    :param client_secret: OAuth2 client secret; never shown
    :param scopes: scopes to ask for, separated by blanks; without them a token is worth nothing
    :param connect_timeout: seconds to wait for a connection, default 10
    :param read_timeout: seconds to wait for an answer, and between its parts, default 30; a whole answer may take
        twice as long
    :param verify: True checks TLS certificates against the known authorities, a path against those in that file or
        folder, False not at all
    :param proxy: address of a proxy for all requests; None takes it from the environment (``HTTPS_PROXY``)
    :param client_cert: path of a client certificate with its key, or the paths of both
    :param allow_http: send secret and token over plain http to another machine, too
    :param first_pause: seconds before the first further try, doubled with each; 0.5 unless told
    :raises InvalidInputError: an address is none, a time limit is not above 0, or a secret would travel in the open
    """

    base_url: str
    token_url: str | None = None
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scopes: str = DEFAULT_SCOPES
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)  # may hold a password
    client_cert: str | tuple[str, str] | None = None
    allow_http: bool = False
    first_pause: float = 0.5

    def __post_init__(self) -> None:
        for name in ("base_url", "token_url"):
            url = getattr(self, name)
            if url is None and name == "token_url":
                continue
            if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise InvalidInputError(f"{name} is {url!r}, which is no address; give one that begins with https://")
            if "@" in urlsplit(url).netloc:
                raise InvalidInputError(f"{name} holds a user or password; give them as client_id and client_secret")
            if self.token_url and not self.allow_http and is_open_http(url):
                raise InvalidInputError(
                    f"{name} is {url!r}: the secret would travel in the open; use https, or set allow_http"
                )
        for name in ("connect_timeout", "read_timeout"):
            if not getattr(self, name) > 0:
                raise InvalidInputError(f"{name} is {getattr(self, name)!r}; give seconds above 0")
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))


def is_open_http(url: str) -> bool:
    """Tell whether what is sent to this address travels in the open: plain http to anything but this machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
