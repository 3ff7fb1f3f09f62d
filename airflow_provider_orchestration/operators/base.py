"""What the operators share: the connection, waiting, and being told to stop."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf

from airflow_provider_orchestration.run import settings
from airflow_provider_orchestration.run.durations import Duration, seconds_or_none
from airflow_provider_orchestration.run.submit.door import OneDoor
from airflow_provider_orchestration.run.templates import TextFields

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
    from airflow_provider_orchestration.run.wait.kill import Pulse

#: Seconds after which a waiting task sees that it was told to stop.
_STOP_SEEN_WITHIN = 0.5


def default_deferrable() -> bool:
    """Return ``[operators] default_deferrable``."""
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def check_attempts(value: object) -> None:
    """Check ``fail_after_attempts``. :raises ValueError: it is neither None nor a whole number from 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"fail_after_attempts must be a whole number from 1 or None, not {value!r}")


class FormanceOperator(OneDoor, TextFields, BaseOperator):
    """
    The base of the operators.

    A duration is a number of seconds, a ``timedelta`` or a ``pendulum.Duration``. Templates give text, also in a DAG
    that renders native objects.

    :param formance_conn_id: the Airflow connection of type ``formance``.
    :param deferrable: wait in the triggerer; default ``[operators] default_deferrable`` of Airflow's configuration.
    :param poll_interval: time between two looks, in the worker and in the triggerer; default ``[formance]
        poll_interval``, 10.
    """

    def __init__(
        self,
        *,
        formance_conn_id: str = "formance_default",
        deferrable: bool | None = None,
        poll_interval: Duration | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.formance_conn_id = formance_conn_id
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = seconds_or_none("poll_interval", poll_interval) or settings.poll_interval()
        self._told_to_stop = False
        self._stop_unhandled = False
        self._cancel_asked = False

    @cached_property
    def hook(self) -> OrchestrationHook:
        """The hook of the connection."""
        from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook

        return OrchestrationHook(self.formance_conn_id)

    @cached_property
    def _pulse(self) -> Pulse:
        from airflow_provider_orchestration.run.wait.kill import Pulse

        # A look is up to four requests of half a minute each; Airflow gives a worker up after five minutes.
        return Pulse(150.0)

    @property
    def client(self) -> FlowsClient:
        """The client of the connection."""
        return self.hook.get_conn()

    def on_kill(self) -> None:
        """Note that Airflow wants the task to stop; no more: a call to Airflow in this signal handler can deadlock."""
        self._told_to_stop = self._stop_unhandled = True

    def pause(self, seconds: float, context: Context) -> None:
        """Sleep, and react within half a second when Airflow tells the task to stop; then the waiting goes on."""
        until = time.monotonic() + seconds
        while True:
            self._pulse.beat()
            if self._stop_unhandled and not self._cancel_asked:
                self._stop_unhandled = False
                self._cancel_asked = self.told_to_stop(context)
            left = until - time.monotonic()
            if left <= 0:
                return
            # An Event would deadlock where the signal handler sets it while it is being waited for.
            time.sleep(min(left, _STOP_SEEN_WITHIN))  # noqa: TID251

    def told_to_stop(self, context: Context) -> bool:
        """
        Do what is to be done when told to stop while waiting, and tell whether a cancel was asked for.

        Airflow ends the process 5 s after it asked.
        """
        self.log.warning("told to stop: nothing is cancelled on the stack")
        return False
