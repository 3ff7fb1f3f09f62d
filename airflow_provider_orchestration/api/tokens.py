"""
Tokens: fetched once for all clients of the process that would get the same, and renewed before they end.

Authlib speaks OAuth2; what is here is the sharing, the time and what a refusal means.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session

from airflow_provider_orchestration.api import answers
from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    FlowsApiError,
    InvalidAnswerError,
    NotConnectedError,
    RateLimitedError,
    ServerTroubleError,
)

if TYPE_CHECKING:
    from requests import Response
    from requests.adapters import HTTPAdapter

    from airflow_provider_orchestration.api.settings import ClientSettings

_LEEWAY = 30.0  # seconds before its end at which a token is renewed; at most half its life
_AGAIN = 5.0  # seconds until the next try to renew a token that is still good
# Seconds after which a token that was refused although it was new is replaced again, doubled each time.
_AFTER_REFUSAL = 30.0
_LONGEST_AFTER_REFUSAL = 300.0
_KEPT_SOURCES = 64
_TOKEN = re.compile(r"[!-~]+")  # printable ASCII without blanks
_LOOK = "look at client id, secret and scopes (login, password and scopes of the connection)"


@dataclass(frozen=True)
class _Token:
    text: str
    renew_at: float  # monotonic seconds, as `ends_at`
    ends_at: float


class _TokenError(Exception):
    """No token was to be had. Kept without a call, as it is told to all who waited for the same token."""

    def __init__(self, kind: type[FlowsApiError], text: str, **more: Any) -> None:
        super().__init__(text)
        self.kind = kind
        self.more = more


class TokenSource:
    """
    Gives the token of one set of credentials, to many threads.

    :param settings: where tokens come from, for whom, and how to get there
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._fetches = 0
        self._failure: _TokenError | None = None
        self._refusals = 0
        self._not_again_before = float("-inf")
        # In the form first: by HTTP Basic a secret with % or + is read in two ways, and some cannot be written.
        self._method = "client_secret_post"
        self._may_try_basic = settings.client_secret.isascii() and ":" not in settings.client_id

    def get(self, call: answers.Call, adapter: HTTPAdapter, timeout: tuple[float, float], stale: str = "") -> str:
        """
        Return a token.

        :param call: for whom; named in errors
        :param adapter: the caller's kept connections
        :param timeout: seconds to connect and to read
        :param stale: a token that Flows did not accept, though its time had not come; another one is returned, or the
            same where that was new and not accepted either, a short while ago
        :raises AuthenticationError: client, secret or scopes were refused
        :raises NotConnectedError, ServerTroubleError, RateLimitedError: the token endpoint is in trouble
        :raises InvalidAnswerError: it is no token endpoint
        """
        token = self._token
        if token and token.text != stale and time.monotonic() < token.renew_at:
            return token.text
        fetches = self._fetches
        if not self._lock.acquire(blocking=False):
            if token and token.text != stale and time.monotonic() < token.ends_at:
                # Somebody renews it, which may take its time; this one is still good.
                return token.text
            self._lock.acquire()
        try:
            token = self._token
            if token and token.text != stale and time.monotonic() < token.renew_at:
                return token.text
            is_refused = token is not None and token.text == stale
            if is_refused and time.monotonic() < self._not_again_before:
                return stale
            try:
                if self._fetches != fetches and self._failure:
                    # Another thread tried while this one waited: not a second time-out for each of them.
                    raise self._failure
                fresh = self._renew(adapter, timeout)
                if is_refused:
                    self._note_replaced()
                return fresh
            except _TokenError as trouble:
                now = time.monotonic()
                still_good = token and token.text != stale and now < token.ends_at
                if token and still_good and issubclass(trouble.kind, ServerTroubleError):
                    self._token = _Token(token.text, min(now + _AGAIN, token.ends_at), token.ends_at)
                    return token.text
                raise call.error(trouble.kind, str(trouble), **trouble.more) from trouble.__cause__
        finally:
            self._lock.release()

    def accepted(self) -> None:
        """Take note that Flows has accepted a token."""
        if self._refusals:
            self._refusals, self._not_again_before = 0, float("-inf")

    def _note_replaced(self) -> None:
        """Take note that a refused token was replaced: should the new one be refused, too, it is kept for a while."""
        pause = min(_AFTER_REFUSAL * 2 ** min(self._refusals, 10), _LONGEST_AFTER_REFUSAL)
        self._refusals += 1
        self._not_again_before = time.monotonic() + pause

    def _renew(self, adapter: HTTPAdapter, timeout: tuple[float, float]) -> str:
        self._failure = None
        try:
            self._token = self._fetch(adapter, timeout)
        except _TokenError as trouble:
            self._failure = trouble
            raise
        finally:
            self._fetches += 1
        return self._token.text

    def _fetch(self, adapter: HTTPAdapter, timeout: tuple[float, float]) -> _Token:
        try:
            return self._ask(self._method, adapter, timeout)
        except AuthlibBaseError as error:
            if error.error != "invalid_client" or not self._may_try_basic:
                self._refuse(error)
            refused = error
        # Some endpoints take HTTP Basic only, and say no more of the form than of a wrong secret.
        self._may_try_basic = False
        try:
            token = self._ask("client_secret_basic", adapter, timeout)
        except AuthlibBaseError:
            self._refuse(refused)
        self._method = "client_secret_basic"
        return token

    def _ask(self, method: str, adapter: HTTPAdapter, timeout: tuple[float, float]) -> _Token:
        """:raises AuthlibBaseError: the client is refused."""
        settings = self._settings
        session = OAuth2Session(
            settings.client_id,
            settings.client_secret,
            scope=settings.scopes or None,
            token_endpoint_auth_method=method,
        )
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        session.register_compliance_hook("access_token_response", self._look_at)
        asked_at = time.monotonic()
        try:
            data = session.fetch_token(
                settings.token_url, grant_type="client_credentials", timeout=timeout, **request_options(settings)
            )
            text, lasts = data["access_token"], float(data.get("expires_in") or "inf")
            if not isinstance(text, str) or not _TOKEN.fullmatch(text):
                # Sent as a header, it would stand in the text of an exception of urllib3.
                raise ValueError("empty, or with other characters than a token has")
        except (_TokenError, AuthlibBaseError):
            raise
        except OSError as error:  # all of requests' errors are
            kind = NotConnectedError if answers.was_never_connected(error) else ServerTroubleError
            raise self._trouble(kind, f"could not be asked: {answers.reason_of(error)}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise self._trouble(InvalidAnswerError, f"gave no token ({type(error).__name__})") from None
        return _Token(text, asked_at + max(lasts - _LEEWAY, lasts / 2), asked_at + lasts)

    def _look_at(self, response: Response) -> Response:
        status = response.status_code
        more = {"status_code": status, "retry_after": answers.retry_after(response)}
        if status == 429:
            raise self._trouble(RateLimitedError, "answered 429", **more)
        if status >= 500 or status == 408:
            raise self._trouble(ServerTroubleError, f"answered {status}", **more)
        if 300 <= status < 400:
            raise self._trouble(InvalidAnswerError, f"answered {status}, a redirect, which is not followed", **more)
        try:
            data = response.json()
        except ValueError:
            data = None
        if isinstance(data, dict) and (status < 300 or "error" in data):
            return response
        if status in (401, 403):
            raise self._trouble(AuthenticationError, f"answered {status}: {_LOOK}", **more)
        raise self._trouble(InvalidAnswerError, f"answered {status} and no token: is it the right address?", **more)

    def _refuse(self, error: AuthlibBaseError) -> NoReturn:
        said = " ".join(str(part) for part in (error.error, error.description) if part)
        if self._settings.client_secret:
            said = said.replace(self._settings.client_secret, "***")
        advice = {
            "invalid_client": "look at client id and secret (login and password of the connection)",
            "invalid_scope": f"look at the scopes asked for: {self._settings.scopes}",
        }.get(str(error.error), _LOOK)
        raise self._trouble(AuthenticationError, f"refused the client {self._settings.client_id!r}: {said}; {advice}")

    def _trouble(self, kind: type[FlowsApiError], text: str, **more: Any) -> _TokenError:
        return _TokenError(kind, f"token endpoint {self._settings.token_url} {text}", **more)


def request_options(settings: ClientSettings) -> dict[str, Any]:
    """Return what goes with every request. `verify` is among it: an environment variable overrides the session's."""
    return {
        "verify": settings.verify,
        "cert": settings.client_cert,
        "proxies": {"http": settings.proxy, "https": settings.proxy} if settings.proxy else {},
        "allow_redirects": False,
    }


_sources: dict[Hashable, TokenSource] = {}
_sources_lock = threading.Lock()


def source_for(settings: ClientSettings) -> TokenSource:
    """Return the token source of all clients of this process with these credentials and this way to the endpoint."""
    key = (
        settings.token_url,
        settings.client_id,
        hashlib.sha256(settings.client_secret.encode("utf-8", "surrogatepass")).digest(),
        settings.scopes,
        settings.verify,
        settings.proxy,
        settings.client_cert,
    )
    with _sources_lock:
        source = _sources.pop(key, None) or TokenSource(settings)
        _sources[key] = source  # the newest last
        while len(_sources) > _KEPT_SOURCES:
            del _sources[next(iter(_sources))]
        return source
