"""
Reads an Airflow connection of type ``formance``: every field checked, every error naming field, value and remedy.

Pure: it calls nothing of Airflow, so it blocks no event loop. The form that asks for these fields is declared in
`get_provider_info`.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import math
import re
from pathlib import Path
from typing import Any, NoReturn, Protocol
from urllib.parse import SplitResult, urlsplit

from airflow_provider_orchestration.api.settings import DEFAULT_SCOPES, ClientSettings, is_open_http
from airflow_provider_orchestration.exceptions import ConnectionConfigError

log = logging.getLogger(__name__)

DEFAULT_AUTH_PATH = "/api/auth/oauth/token"
DEFAULT_FLOWS_PATH = "/api/orchestration"

EXTRA_FIELDS = (
    "auth_url",
    "scopes",
    "flows_path",
    "connect_timeout",
    "read_timeout",
    "verify",
    "proxy",
    "client_cert",
    "allow_http",
)


class AirflowConnection(Protocol):
    """What is read of a connection, from wherever Airflow has it."""

    conn_id: str
    host: str | None
    schema: str | None
    login: str | None
    password: str | None
    extra: str | None

    @property
    def port(self) -> int | str | None:
        """A number; some backends give it as a text."""


def settings_from_connection(conn: AirflowConnection) -> ClientSettings:
    """
    Return how to reach the Flows that a connection describes.

    - host: address of the stack, with or without scheme, port, path and trailing slash; without a scheme it is https
      (or what `schema` says, which is where the form of a URI may put it). Of an address of Flows itself, as it is
      copied from a page, the part before `flows_path` counts
    - port: instead of one in the address; 0 is none
    - login and password: client id and secret; both empty for a stack without authentication
    - extra: `EXTRA_FIELDS`; one that is empty has its default

    :raises ConnectionConfigError: a field is wrong
    """
    return _Reader(conn).read()


class _Reader:
    def __init__(self, conn: AirflowConnection) -> None:
        self._conn = conn
        self._extra = self._read_extra()

    def read(self) -> ClientSettings:
        flows_path = self._flows_path()
        stack = self._stack(flows_path)
        login, password = self._credential("login"), self._credential("password")
        if bool(login) != bool(password):
            missing, given = ("password", "login") if login else ("login", "password")
            self._complain(f"{missing} is empty: give it, too, or empty {given} for a stack without authentication")
        auth_url = self._auth_url(stack)
        allow_http = self._flag("allow_http", default=False)
        for name, url in (("host", stack), ("auth_url", auth_url)):
            if login and not allow_http and is_open_http(url):
                self._fail(name, url, "secret and token would travel in the open; use https, or set allow_http")
        return ClientSettings(
            base_url=stack + flows_path,
            token_url=auth_url if login else None,
            client_id=login,
            client_secret=password,
            scopes=self._scopes(),
            connect_timeout=self._seconds("connect_timeout", default=10.0),
            read_timeout=self._seconds("read_timeout", default=30.0),
            verify=self._verify(),
            proxy=self._proxy(),
            client_cert=self._client_cert(),
            allow_http=allow_http,
        )

    def _fail(self, field: str, value: object, advice: str) -> NoReturn:
        self._complain(f"{field} is {value!r}: {advice}")

    def _complain(self, text: str) -> NoReturn:
        raise ConnectionConfigError(f"connection {self._conn.conn_id!r}: {text}")

    def _read_extra(self) -> dict[str, Any]:
        try:
            extra = json.loads(self._conn.extra or "{}")
        except ValueError:
            extra = None
        if not isinstance(extra, dict):
            self._complain('extra is no JSON object: give one, e.g. {"read_timeout": 30}')
        for name in sorted(extra.keys() - set(EXTRA_FIELDS)):
            log.warning(
                "connection %r: extra has the field %r, which nothing reads; known are %s",
                self._conn.conn_id,
                name,
                ", ".join(EXTRA_FIELDS),
            )
        return extra

    def _text(self, field: str) -> str:
        """Return a field of extra without blanks around it; empty where it is not there."""
        value = self._extra.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            self._complain(f"{field} is {self._shown(repr(value))}: give a text")
        return value.strip()

    def _credential(self, field: str) -> str:
        value: str = getattr(self._conn, field) or ""
        if value != value.strip():
            self._complain(f"{field} begins or ends with a blank or a line break: paste it again without")
        return value

    def _stack(self, flows_path: str) -> str:
        host = (self._conn.host or "").strip()
        if not host:
            self._complain("host is empty: give the address of the stack, e.g. https://stack.example.com")
        schema = (self._conn.schema or "").strip().strip("/")
        # The form of a URI puts a path there, Airflow's own form a scheme.
        known = re.match(r"(https?)(?:://|:?$|/)", schema, re.IGNORECASE)
        scheme, path = (known[1].lower(), schema[known.end() :]) if known else ("", schema)
        if "://" not in host:
            half = re.match(r"(https?)[:/]/?(?=[^/\d])", host, re.IGNORECASE)
            if half and "@" not in host:
                self._fail("host", host, f"write it as {half[1].lower()}://{host[half.end() :]}")
            host = f"{scheme or 'https'}://{_bracketed(host)}"
        elif scheme and not host.lower().startswith(f"{scheme}://"):
            self._fail("schema", schema, f"the host says otherwise: {self._shown(host)}; empty one of them")
        parts = self._address("host", host)
        port = self._port(parts)
        address = f"{parts.scheme}://{_bracketed(parts.hostname or '')}{f':{port}' if port else ''}"
        whole = "/".join(part.strip("/") for part in (address, parts.path, path) if part.strip("/"))
        # A whole address of Flows, as a person copies it.
        return f"{whole}/".partition(f"{flows_path}/")[0].rstrip("/") if flows_path else whole

    def _port(self, parts: SplitResult) -> int | None:
        if parts.port == 0:
            self._fail("host", self._shown(parts.geturl()), "0 is no port; give one from 1 to 65535, or none")
        given = str(self._conn.port or "").strip()  # a file or a vault may give it as a text
        if not given.strip("0"):
            return parts.port
        port = int(given) if re.fullmatch(r"[0-9]{1,5}", given) else 0
        if not 0 < port < 65536:
            self._fail("port", self._conn.port, "give a number from 1 to 65535")
        if parts.port is not None and parts.port != port:
            self._fail("port", port, f"the host has another, {parts.port}; empty one of them")
        return port

    def _address(self, field: str, url: str) -> SplitResult:
        """Return the parts of an address that a request can be sent to."""
        advice = "give an address, e.g. https://stack.example.com"
        try:
            parts = urlsplit(url)
            _ = parts.port  # a wrong one raises
        except ValueError as error:
            self._fail(field, self._shown(url), f"{error}; {advice}")
        if "@" in url:
            self._fail(
                field,
                self._shown(url),
                "it has an @; give user and password as login and password, and write any other as %40",
            )
        if parts.scheme not in ("http", "https"):
            self._fail(field, self._shown(url), f"{parts.scheme!r} is not http or https; {advice}")
        if not _is_host(parts.hostname or ""):
            self._fail(field, self._shown(url), f"it names no host; {advice}")
        if parts.query or parts.fragment or re.search(r"\s", parts.path):
            self._fail(field, self._shown(url), f"it has a query, a fragment or a blank; {advice}")
        return parts

    @staticmethod
    def _shown(url: str) -> str:
        """Return an address without the user and password in it, whatever is wrong with it."""
        return re.sub(r"^(\w+://)?.*@", r"\1***@", url)

    def _auth_url(self, stack: str) -> str:
        url = self._text("auth_url")
        if not url:
            return stack + DEFAULT_AUTH_PATH
        self._address("auth_url", url)
        return url

    def _flows_path(self) -> str:
        path = self._text("flows_path") or DEFAULT_FLOWS_PATH
        if re.search(r"[\s?#]|://", path):
            self._fail(
                "flows_path",
                self._shown(path),
                f"give the path of Flows below the stack's address, e.g. {DEFAULT_FLOWS_PATH}",
            )
        return f"/{path.strip('/')}".rstrip("/")

    def _scopes(self) -> str:
        scopes = self._text("scopes") or DEFAULT_SCOPES
        if "," in scopes:
            self._fail("scopes", scopes, f"separate them by blanks, e.g. {DEFAULT_SCOPES}")
        return " ".join(scopes.split())

    def _seconds(self, field: str, *, default: float) -> float:
        value = self._extra.get(field)
        if value is None or value == "":
            return default
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            seconds = math.nan
        if not 0 < seconds < math.inf:
            self._fail(field, value, f"give seconds above 0, e.g. {default:g}")
        return seconds

    def _flag(self, field: str, *, default: bool) -> bool:
        value = self._extra.get(field)
        if value is None or value == "":
            return default
        flag = _as_flag(value)
        if flag is None:
            self._fail(field, value, "give true or false")
        return flag

    def _verify(self) -> bool | str:
        value = self._extra.get("verify")
        if value is None or value == "":
            return True
        flag = _as_flag(value)
        if flag is not None:
            return flag
        if not isinstance(value, str) or not Path(value).exists():
            self._fail("verify", value, "give true, false, or the path of a file of authorities that is there")
        return value

    def _proxy(self) -> str | None:
        proxy = self._text("proxy")
        if not proxy:
            return None
        try:
            parts = urlsplit(proxy)
            usable = parts.scheme in ("http", "https") and _is_host(parts.hostname or "") and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            self._fail("proxy", self._shown(proxy), "give its http address, e.g. http://proxy.example.com:3128")
        return proxy

    def _client_cert(self) -> str | tuple[str, str] | None:
        paths = [path.strip() for path in self._text("client_cert").split(",") if path.strip()]
        for path in paths:
            if not Path(path).is_file():
                self._fail("client_cert", path, "there is no such file; give the path of a certificate with its key")
        if len(paths) > 2:
            self._fail("client_cert", ",".join(paths), "give one path, or two: certificate,key")
        return (paths[0], paths[1]) if len(paths) == 2 else next(iter(paths), None)


def _as_flag(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def _bracketed(host: str) -> str:
    """Return a bare IPv6 address in brackets, as an address needs it; anything else as it is."""
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host


def _is_host(host: str) -> bool:
    if ":" in host:
        return _bracketed(host) != host
    return re.fullmatch(r"[\w-]+(\.[\w-]+)*\.?", host) is not None
