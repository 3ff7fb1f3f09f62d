"""
The way to Flows: one kept-alive session for many threads, with its token, its tries and its look at the server's clock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import requests
from requests.auth import AuthBase
from tenacity import RetryCallState, Retrying, stop_after_attempt, wait_exponential, wait_random

from airflow_provider_orchestration import __version__
from airflow_provider_orchestration.api import answers, inputs
from airflow_provider_orchestration.api.answers import Call
from airflow_provider_orchestration.api.operations import Operation
from airflow_provider_orchestration.api.settings import ClientSettings
from airflow_provider_orchestration.api.tokens import request_options, source_for
from airflow_provider_orchestration.api.transport import LimitedAdapter
from airflow_provider_orchestration.api.wrapping import Cursor, Many, One, Page, decoder
from airflow_provider_orchestration.exceptions import (
    FlowsApiError,
    InvalidAnswerError,
    InvalidInputError,
    ServerTroubleError,
)

__all__ = ["ClientSettings", "FlowsSession"]

log = logging.getLogger(__name__)

DEFAULT_RETRIES = 4
LONGEST_PAUSE = 60.0  # seconds between two tries
LONGEST_RETRY_AFTER = LONGEST_PAUSE  # a server that wants a longer one is not asked again: the caller is told
TRIES_ON_500 = 3  # it may mean anything: bad configuration, database down
CONNECTIONS = 32  # kept for as many threads

_T = TypeVar("_T")


class FlowsSession:
    """
    Sends the calls of a client. Safe to use from many threads.

    :param settings: how to reach Flows
    :param on_token: called with each new token before it is used
    """

    def __init__(self, settings: ClientSettings, on_token: Callable[[str], None] | None = None) -> None:
        self.clock = ServerClock()
        self._settings = settings
        self._on_token = on_token
        self._told_token = ""
        self._tokens = source_for(settings) if settings.token_url else None
        self._timeout = (settings.connect_timeout, settings.read_timeout)
        self._options = request_options(settings)
        # Not wait_exponential_jitter: its arguments have other names in old and new versions.
        pause = settings.first_pause
        self._backoff = wait_exponential(multiplier=pause, max=LONGEST_PAUSE / 2) + wait_random(0, pause)
        # Neither requests nor urllib3 tries again by itself: they cannot know what is safe.
        self._adapter = LimitedAdapter(pool_connections=4, pool_maxsize=CONNECTIONS, max_retries=0)
        self._http = requests.Session()
        self._http.mount("https://", self._adapter)
        self._http.mount("http://", self._adapter)
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # threads would share them
        self._http.headers.update(
            {"Accept": "application/json", "User-Agent": f"airflow-provider-orchestration/{__version__}"}
        )

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()

    def check_token(self, timeout: float | tuple[float, float] | None = None) -> bool:
        """Fetch a token if there is none yet. Return False for a stack without authentication."""
        call = Call(Operation("token", "GET", "", 200, repeatable=True))
        return self._token(call, inputs.check_timeout(timeout) if timeout is not None else self._timeout) is not None

    def call(self, operation: Operation, model: type[_T], ids: Mapping[str, str] | None = None, **request: Any) -> _T:
        """
        Return the answer of an operation that answers one thing.

        :param ids: fill the path, and are named in errors
        :param request: ``body``, ``query``, ``retries``, ``timeout``, and ``before_send``: called just before each try,
            with the token at hand; where it raises, nothing is sent and its error passes
        """
        answer: One[_T] | _T = self._read(Call(operation, ids or {}), decoder(model, One), **request)
        return answer.data if isinstance(answer, One) else answer

    def call_list(
        self, operation: Operation, model: type[_T], ids: Mapping[str, str] | None = None, **request: Any
    ) -> list[_T]:
        """Return the answer of an operation that answers a list; null is an empty one."""
        answer: Many[_T] = self._read(Call(operation, ids or {}), decoder(model, Many), **request)
        return answer.data or []

    def call_page(
        self, operation: Operation, model: type[_T], ids: Mapping[str, str] | None = None, **request: Any
    ) -> Cursor[_T]:
        """Return a page of a list of the second version of the API, with the cursor of the next one."""
        answer: Page[_T] = self._read(Call(operation, ids or {}), decoder(model, Page), **request)
        return answer.cursor

    def call_empty(self, operation: Operation, ids: Mapping[str, str] | None = None, **request: Any) -> None:
        """Send an operation whose answer has no body."""
        self._read(Call(operation, ids or {}), None, **request)

    def _read(
        self,
        call: Call,
        decoder: msgspec.json.Decoder[Any] | None,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        retries: int | None = None,
        timeout: float | tuple[float, float] | None = None,
        before_send: Callable[[], None] | None = None,
    ) -> Any:
        limits = self._timeout if timeout is None else inputs.check_timeout(timeout)
        tries = 1 + (DEFAULT_RETRIES if retries is None else inputs.check_retries(retries))
        request = self._prepare(call, body, query)
        try:
            retrying = Retrying(
                stop=stop_after_attempt(tries),
                wait=self._pause,
                retry=_is_worth_a_try,
                before_sleep=lambda state: _announce(call, state, tries),
                reraise=True,
            )
            response = retrying(self._try_once, call, request, limits, before_send)
            if decoder is None:
                return None
            try:
                return decoder.decode(response.content)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
                raise answers.error_of_body(call, response, problem) from problem
        except (FlowsApiError, InvalidInputError):
            raise
        except _NotSentError as stopped:
            raise stopped.reason from None
        except Exception as error:
            # Nothing that this code did not foresee may read as "it did not happen".
            if call.operation.is_read:
                raise
            raise call.unknown(f"{type(error).__name__}: {error}") from error

    def _prepare(self, call: Call, body: Mapping[str, Any] | None, query: Mapping[str, str] | None) -> dict[str, Any]:
        operation = call.operation
        path = operation.path.format_map({name: inputs.quote_id(value) for name, value in call.ids.items()})
        url = f"{self._settings.base_url}{path}"
        if query:
            url = f"{url}?{urlencode(query)}"
        if body is None:
            return {"method": operation.method, "url": url}
        try:
            data = msgspec.json.encode(body)
        except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
            raise InvalidInputError(f"{operation.name}: this cannot be sent, as it is no JSON: {error}") from error
        headers = {"Content-Type": "application/json"}
        return {"method": operation.method, "url": url, "data": data, "headers": headers}

    def _try_once(
        self,
        call: Call,
        request: dict[str, Any],
        timeout: tuple[float, float],
        before_send: Callable[[], None] | None = None,
    ) -> requests.Response:
        token = self._token(call, timeout) if call.operation.authenticated else None
        response = self._exchange(call, request, token, timeout, before_send)
        if response.status_code == 401 and token is not None:
            # It proves that nothing happened, so this is safe for a write, too.
            fresh = self._token(call, timeout, stale=token)
            if fresh != token:
                token = fresh
                response = self._exchange(call, request, token, timeout, before_send)
        if response.status_code != 401 and self._tokens is not None:
            self._tokens.accepted()
        status, success = response.status_code, call.operation.success
        if status == success or (success != 204 and 200 <= status < 300):
            return response
        raise answers.error_of_answer(call, response, token)

    def _exchange(
        self,
        call: Call,
        request: dict[str, Any],
        token: str | None,
        timeout: tuple[float, float],
        before_send: Callable[[], None] | None = None,
    ) -> requests.Response:
        if before_send is not None:
            try:
                before_send()
            except Exception as error:
                raise _NotSentError(error) from error
        try:
            response = self._http.request(**request, auth=_Bearer(token), timeout=timeout, **self._options)
        except (requests.RequestException, OSError) as failure:
            raise answers.error_of_failure(call, failure) from failure
        self.clock.observe(response.headers.get("Date"))
        return response

    def _token(self, call: Call, timeout: tuple[float, float], stale: str = "") -> str | None:
        if self._tokens is None:
            return None
        token = self._tokens.get(call, self._adapter, timeout, stale)
        if token != self._told_token:
            if self._on_token:
                self._on_token(token)
            self._told_token = token
        return token

    def _pause(self, state: RetryCallState) -> float:
        wanted = getattr(state.outcome and state.outcome.exception(), "retry_after", None)
        return min(max(self._backoff(state), wanted or 0.0), LONGEST_PAUSE)


class _NotSentError(Exception):
    """What the caller wanted to be done just before a request failed, so that it was not sent."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Bearer(AuthBase):
    """Sets the token, or nothing; without any `auth` requests would take credentials from a .netrc file."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class ServerClock:
    """The server's clock, from the ``Date`` of its latest answer. Safe to use from many threads."""

    def __init__(self) -> None:
        self._latest: tuple[str, float, float] | None = None  # header, its epoch seconds, monotonic seconds then

    def observe(self, date: str | None) -> None:
        """Note the ``Date`` of an answer."""
        latest = self._latest
        if date is None or (latest and latest[0] == date):
            return  # within the same second: the first of them is the closest to its beginning
        parsed = answers.parse_date(date)
        if parsed is not None:
            self._latest = (date, parsed.timestamp(), time.monotonic())

    def now(self) -> float:
        """Return epoch seconds by the server's clock, or by this machine's before its first answer."""
        latest = self._latest
        return time.time() if latest is None else latest[1] + time.monotonic() - latest[2]


def _is_worth_a_try(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, InvalidAnswerError):
        return answers.was_cut_off(error.__cause__)
    if not isinstance(error, ServerTroubleError) or (error.retry_after or 0.0) > LONGEST_RETRY_AFTER:
        return False
    return error.status_code != 500 or state.attempt_number < TRIES_ON_500


def _announce(call: Call, state: RetryCallState, tries: int) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    log.warning("%s; try %d of %d in %.1f s", error, state.attempt_number + 1, tries, pause)
