"""Waiting in the worker: the same looks as in the triggerer, one after another, with the connection as it is now."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_orchestration.exceptions import AuthenticationError, ConnectionConfigError, FormanceError
from airflow_provider_orchestration.run.wait.threads import CONNECTION_HOLDS
from airflow_provider_orchestration.run.wait.watch import Look, Verdict, Watch, look_unless_refused

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Seconds of ``Retry-After`` that are kept at the most, as the poller does.
LONGEST_RETRY_AFTER = 300.0


class Connects(Protocol):
    """What gives a client: the hook."""

    def get_conn(self) -> FlowsClient:
        """Return the client."""

    def renewed_conn(self, read_since: float) -> FlowsClient:
        """Return the client of the connection as it was at this monotonic time or later."""


def call_renewed(hook: Connects, function: Callable[[FlowsClient], T]) -> T:
    """
    Call a function with the client of the connection, which is read again as :class:`~.threads.ThreadedClient` does.

    That is every 60 s, and at once where it is refused (401): then the function is called again, if it was changed.

    :raises ConnectionConfigError: a field of the connection is wrong.
    :raises FormanceError: Airflow has no such connection now; or the function raised it.
    """
    client = _renewed(hook, time.monotonic() - CONNECTION_HOLDS)
    asked_at = time.monotonic()
    try:
        return function(client)
    except AuthenticationError:
        other = _renewed(hook, asked_at)
        if other is client:
            raise
        # A 401 proves that nothing was done.
        return function(other)


def _renewed(hook: Connects, read_since: float) -> FlowsClient:
    try:
        return hook.renewed_conn(read_since)
    except ConnectionConfigError:
        raise
    except AirflowNotFoundException as error:
        raise FormanceError(f"AirflowNotFoundException: {error}") from error
    except Exception as error:  # noqa: BLE001 - Airflow's API is away for a while: what it said before is as good
        log.warning("the connection cannot be read again, it is used as it was: %s", error)
        return hook.get_conn()


def look_now(hook: Connects, instance_id: str, *, with_history: bool) -> Look:
    """
    Take one look. Whatever fails is part of the look, not an exception: the server, or the connection read again.

    :raises ConnectionConfigError: the connection was wrong from the beginning, as :meth:`~.Connects.get_conn` tells.
    """
    hook.get_conn()
    try:
        return call_renewed(hook, lambda client: look_unless_refused(client, instance_id, with_history=with_history))
    except FormanceError as error:
        return Look(error=error)


def wait_for_verdict(hook: Connects, watch: Watch, poll_interval: float, pause: Callable[[float], None]) -> Verdict:
    """
    Look at an instance every ``poll_interval`` seconds until there is a verdict.

    :param pause: sleeps; an operator gives one that also sees when the task is told to stop.
    """
    while True:
        look = look_now(hook, watch.instance_id, with_history=watch.wants_history)
        if verdict := watch.take(look):
            return verdict
        wait = poll_interval
        if look.error is not None:
            # Retry-After is kept; a failed look is no reason to look more often.
            wait = max(wait, min(getattr(look.error, "retry_after", None) or 0.0, LONGEST_RETRY_AFTER))
        if watch.deadline is not None:
            wait = min(wait, max(0.0, watch.deadline - time.time()))
        pause(wait)
