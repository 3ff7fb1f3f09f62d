"""
What an answer, or none, means: the one place that turns what came over the wire into a result or an error.

Rule of a write: an error other than `OutcomeUnknownError` is a proof that nothing happened. So the lists below are
lists of proofs, and whatever is not on them is unknown.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import msgspec
import requests
import urllib3

from airflow_provider_orchestration.api.operations import RUN_WORKFLOW_AND_WAIT, Operation, known_error
from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    FlowsApiError,
    InvalidAnswerError,
    NotConnectedError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    RefusedInputError,
    ServerTroubleError,
)

if TYPE_CHECKING:
    from requests import Response

# With these the server, or the gateway before it, has turned the request away before anything was done.
_TURNED_AWAY: Mapping[int, type[FlowsApiError]] = {
    400: RefusedInputError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    405: RefusedInputError,
    413: RefusedInputError,
    415: RefusedInputError,
    422: RefusedInputError,
    429: RateLimitedError,
}
_TIMED_OUT_STATUS = (408, 499)
_SHOWN = 200  # characters of a page that is not Flows'


#: What is said of a proxy before anything is sent: requests does not know its kind, or lacks what it needs.
_UNKNOWN_PROXY = (
    urllib3.exceptions.ProxySchemeUnknown,
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidSchema,
)


@dataclass(frozen=True)
class Call:
    """An operation and the ids that it concerns: what every error tells."""

    operation: Operation
    ids: Mapping[str, str] = field(default_factory=dict)

    def error(self, kind: type[FlowsApiError], text: str, **more: Any) -> FlowsApiError:
        """Return an error of this call."""
        concerned = ", ".join(f"{name.removesuffix('_id')} {value}" for name, value in self.ids.items())
        more |= {name: value for name, value in self.ids.items() if name.endswith("_id")}
        # As the client has it: of the reference's names, one bears a prefix that says nothing.
        name = self.operation.name.removeprefix("orchestration")
        place = f"{name} ({concerned})" if concerned else name
        return kind(f"{place}: {text}", operation=self.operation.name, **more)

    def unknown(self, text: str, **more: Any) -> FlowsApiError:
        """Return the error of a write whose effect nobody can know."""
        advice = (
            "it may have happened or still happen; sending it again does no harm"
            if self.operation.repeatable
            else "it may have happened or still happen; look before it is sent again"
        )
        return self.error(OutcomeUnknownError, f"outcome unknown: {text}; {advice}", **more)


class _ErrorBody(msgspec.Struct, rename="camel"):
    error_code: str
    error_message: str | None = None


def error_of_answer(call: Call, response: Response, token: str | None = None) -> FlowsApiError:
    """
    Return the error that an answer other than the operation's success means.

    :param token: the token that was sent, None if there was none
    """
    status = response.status_code
    body = _error_body(response)
    said = _masked(body.error_message or "", response) if body else _excerpt(response)
    more: dict[str, Any] = {
        "status_code": status,
        "error_code": body.error_code if body else None,
        "retry_after": retry_after(response),
    }
    text = f"{status} {body.error_code}: {said}" if body else f"{status}, {said}"

    kind = _TURNED_AWAY.get(status)
    if status in (404, 500) and body:
        kind = known_error(call.operation, said) or kind
    if call.operation is RUN_WORKFLOW_AND_WAIT and status == 404:
        # The instance is read back after it was started: what is not found may be that.
        kind = None
    if kind is NotFoundError and call.operation.is_read and not body:
        # Gateways say 404, too, e.g. while they are set up anew: no word of Flows that there is no such thing.
        kind = InvalidAnswerError
        text = f"{text}. This is no answer of Flows: look at host and path of the address"
    if kind is AuthenticationError:
        text = f"{text}. {_how_to_authenticate(call.operation, token)}"
    if kind is not None:
        return call.error(kind, text, **more)

    if 300 <= status < 400:
        text = f"{status}, a redirect to {_redirect_target(response)}, which is not followed: give that address at once"
    elif status < 300:
        text = f"{text}. {call.operation.success} was expected"
    if not call.operation.is_read:
        return call.unknown(text, **more)
    if status >= 500 or status in _TIMED_OUT_STATUS:
        return call.error(ServerTroubleError, text if body else f"{text} (from a gateway before Flows)", **more)
    return call.error(InvalidAnswerError, text, **more)


def error_of_body(call: Call, response: Response, problem: Exception) -> FlowsApiError:
    """Return the error that a successful status with a body that cannot be read means."""
    text = f"{response.status_code}, but the answer is not Flows': {problem}; {_excerpt(response)}"
    if call.operation.is_read:
        return call.error(InvalidAnswerError, text, status_code=response.status_code)
    return call.unknown(text, status_code=response.status_code)


def error_of_failure(call: Call, failure: Exception) -> FlowsApiError:
    """Return the error that an exchange without a whole answer means."""
    if was_never_connected(failure):
        return call.error(NotConnectedError, f"no connection: {reason_of(failure)}")
    if not call.operation.is_read:
        return call.unknown(f"no answer: {reason_of(failure)}")
    if was_cut_off(failure):
        return call.error(InvalidAnswerError, f"the answer was cut off: {reason_of(failure)}")
    return call.error(ServerTroubleError, f"no answer: {reason_of(failure)}")


def was_never_connected(failure: BaseException) -> bool:
    """
    Tell whether a failure proves that no byte of the request was sent.

    Of TLS only a certificate that was not accepted proves it; of a proxy only that it could not be reached, or is of a
    kind that is not known.
    """
    return isinstance(failure, requests.exceptions.RequestException) and any(
        isinstance(
            inner,
            (
                ssl.SSLCertVerificationError,
                urllib3.exceptions.NewConnectionError,
                urllib3.exceptions.ConnectTimeoutError,
                *_UNKNOWN_PROXY,
            ),
        )
        for inner in _nested(failure)
    )


def was_cut_off(failure: BaseException | None) -> bool:
    """Tell whether an answer began and did not come to its end."""
    return isinstance(failure, (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError))


def reason_of(failure: BaseException) -> str:
    """Return why an exchange failed, in the words of the innermost error (the outer ones repeat addresses)."""
    inner = list(_nested(failure))[-1]
    no_tls = isinstance(inner, ssl.SSLError) and inner.reason in (
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "RECORD_LAYER_FAILURE",
    )
    if any(isinstance(error, _UNKNOWN_PROXY) for error in _nested(failure)):
        return f"the proxy cannot be used: {inner} (look at proxy of the connection, HTTP_PROXY and HTTPS_PROXY)"
    hint = " (what answers there does not speak TLS: is its address http://...?)" if no_tls else ""
    return f"{type(inner).__name__}: {inner}{hint}"


def _nested(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those within. requests and urllib3 keep them as reason, original_error, argument or cause."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        candidates = (
            getattr(current, "reason", None),
            getattr(current, "original_error", None),
            *reversed(current.args),
            current.__cause__,
        )
        current = next((inner for inner in candidates if isinstance(inner, BaseException)), None)


def retry_after(response: Response) -> float | None:
    """Return the seconds of ``Retry-After``, which may be seconds or a date (by the server's own clock)."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return float(value)
    date = parse_date(value)
    if date is None:
        return None
    now = parse_date(response.headers.get("Date")) or datetime.now(UTC)
    return max(0.0, (date - now).total_seconds())


def parse_date(value: str | None) -> datetime | None:
    """Return an HTTP date, None if it is none."""
    try:
        date = parsedate_to_datetime(value or "")
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _error_body(response: Response) -> _ErrorBody | None:
    try:
        return msgspec.json.decode(response.content, type=_ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _masked(text: str, response: Response) -> str:
    """Hide the token that was sent, should the answer repeat it."""
    token = response.request.headers.get("Authorization", "").removeprefix("Bearer ")
    return text.replace(token, "***") if token else text


def _excerpt(response: Response) -> str:
    if not response.content:
        return "empty body"
    # Masked before it is cut: a part of the token is a secret, too.
    page = _masked(response.content.decode("utf-8", "replace"), response)[: 10 * _SHOWN]
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    kind = response.headers.get("Content-Type", "no content type")
    return f"{kind}: {text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}"


def _redirect_target(response: Response) -> str:
    target = response.headers.get("Location", "nowhere")
    return re.sub(r"//[^/@]*@", "//", target).split("?")[0]


def _how_to_authenticate(operation: Operation, token: str | None) -> str:
    if token is None:
        return "This Flows wants authentication: set the client id and secret (login and password of the connection)"
    scope = "orchestration:read" if operation.is_read else "orchestration:write"
    return f"The token was not accepted, not even a new one: give the client the scope {scope}, and ask for it"
