"""When a poller leaves its server alone: as long as that asks for, and ever longer where it refuses the credentials."""

from __future__ import annotations

import time
import weakref

from airflow_provider_orchestration.exceptions import (
    CONCERN_ALL,
    AuthenticationError,
    FlowsApiError,
    FormanceError,
    ServerTroubleError,
)

#: Seconds of ``Retry-After`` that are kept at the most.
_LONGEST_RETRY_AFTER = 300.0
#: Seconds after which a stack that refused the credentials is asked again, doubled each time.
_AFTER_REFUSAL = 5.0
_LONGEST_AFTER_REFUSAL = 60.0


class Pauses:
    """The pauses of one connection, on the clock of `time.monotonic`, which is that of the event loop."""

    def __init__(self) -> None:
        #: Time until which nothing is asked...
        self.until = float("-inf")
        #: ... because of this.
        self._reason: FormanceError | None = None
        self._refusals = 0
        #: Errors of looks that were not made, which prove nothing.
        self._not_asked: weakref.WeakSet[FormanceError] = weakref.WeakSet()

    def accepted(self) -> None:
        """Take note of an answer."""
        self._refusals = 0

    @property
    def refusing(self) -> bool:
        """Whether the latest answer refused the credentials: then one look at a time tells, when a pause has ended."""
        return self._refusals > 0

    def failed(self, error: FormanceError) -> bool:
        """Take note of a failure; tell whether it is a refusal that begins a pause."""
        if error in self._not_asked:
            return False
        now = time.monotonic()
        pause = min(getattr(error, "retry_after", None) or 0.0, _LONGEST_RETRY_AFTER)
        refused = isinstance(error, AuthenticationError) and now >= self.until
        if refused:
            # Of the connection, not of a workflow: nobody's look can be had, and each would cost a token.
            self._refusals += 1
            pause = max(pause, min(_AFTER_REFUSAL * 2 ** min(self._refusals - 1, 10), _LONGEST_AFTER_REFUSAL))
        if pause and now + pause > self.until:
            self.until, self._reason = now + pause, error
        return refused

    @property
    def now(self) -> bool:
        """Whether nothing may be asked now."""
        return time.monotonic() < self.until

    def check(self) -> None:
        """
        Check that something may be asked now; from any thread.

        :raises FlowsApiError: see :meth:`error`.
        """
        if error := self.error():
            raise error

    def error(self) -> FlowsApiError | None:
        """
        Return why nothing may be asked now, if so; from any thread.

        Of the kind of the error that began the pause where that concerns all, and else of trouble with the server: it
        says nothing of what was to be asked for.
        """
        left, reason = self.until - time.monotonic(), self._reason
        if left <= 0 or reason is None:
            return None
        kind = next((one for one in CONCERN_ALL if isinstance(reason, one)), ServerTroubleError)
        status = getattr(reason, "status_code", None)
        why = "refused the credentials" if kind is AuthenticationError else "wants to be left alone"
        error = kind(
            f"the stack {why}{f' ({status})' if status else ''}; it is not asked for another {left:.0f} s",
            status_code=status,
            details=reason.details,
        )
        self._not_asked.add(error)
        return error
