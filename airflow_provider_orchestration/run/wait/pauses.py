"""When a poller leaves its server alone: as long as that asks for, and ever longer where it refuses the credentials."""

from __future__ import annotations

import time

from airflow_provider_orchestration.exceptions import AuthenticationError, FormanceError

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

    def accepted(self) -> None:
        """Take note of an answer."""
        self._refusals = 0

    def failed(self, error: FormanceError) -> None:
        """Take note of a failure."""
        if error is self._reason and self.now:
            return
        now = time.monotonic()
        pause = min(getattr(error, "retry_after", None) or 0.0, _LONGEST_RETRY_AFTER)
        if isinstance(error, AuthenticationError) and now >= self.until:
            # Of the connection, not of a workflow: nobody's look can be had, and each would cost a token.
            self._refusals += 1
            pause = max(pause, min(_AFTER_REFUSAL * 2 ** min(self._refusals - 1, 10), _LONGEST_AFTER_REFUSAL))
        if pause and now + pause > self.until:
            self.until, self._reason = now + pause, error

    @property
    def now(self) -> bool:
        """Whether nothing may be asked now."""
        return time.monotonic() < self.until

    def check(self) -> None:
        """Raise the error for which nothing may be asked now, if there is one; from any thread."""
        if self._reason is not None and self.now:
            raise self._reason.with_traceback(None)
