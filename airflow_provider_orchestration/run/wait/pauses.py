"""When a poller leaves its server alone: as long as that asks for, and ever longer where it refuses the credentials."""

from __future__ import annotations

from airflow_provider_orchestration.exceptions import AuthenticationError, FormanceError

#: Seconds of ``Retry-After`` that are kept at the most.
_LONGEST_RETRY_AFTER = 300.0
#: Seconds after which a stack that refused the credentials is asked again, doubled each time.
_AFTER_REFUSAL = 5.0
_LONGEST_AFTER_REFUSAL = 60.0


class Pauses:
    """The pauses of one connection, on the loop's clock."""

    def __init__(self) -> None:
        #: Loop time until which nothing is asked.
        self.until = float("-inf")
        self._refusals = 0

    def accepted(self) -> None:
        """Take note of an answer."""
        self._refusals = 0

    def failed(self, error: FormanceError, now: float) -> None:
        """Take note of a failure at this loop time."""
        pause = min(getattr(error, "retry_after", None) or 0.0, _LONGEST_RETRY_AFTER)
        if isinstance(error, AuthenticationError) and now >= self.until:
            # Of the connection, not of a workflow: nobody's look can be had, and each would cost a token.
            self._refusals += 1
            pause = max(pause, min(_AFTER_REFUSAL * 2 ** min(self._refusals - 1, 10), _LONGEST_AFTER_REFUSAL))
        self.until = max(self.until, now + pause)
