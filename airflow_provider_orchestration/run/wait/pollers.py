"""The pollers of a process: one for each event loop and connection, as long as it is used."""

from __future__ import annotations

import asyncio
import time
import weakref

from airflow_provider_orchestration.run.wait.poller import Poller

#: Seconds for which a poller that nobody uses is kept: longer than its pulse remembers that the process stood still.
IDLE_FOR = 600.0

#: Each with the monotonic seconds at which it was asked for last.
_pollers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, tuple[Poller, float]]] = (
    weakref.WeakKeyDictionary()
)


def poller_for(formance_conn_id: str) -> Poller:
    """Return the poller of a connection in the running event loop; those of connections that nobody uses go."""
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    now = time.monotonic()
    if formance_conn_id not in pollers:
        for name, (poller, asked_at) in list(pollers.items()):
            if not poller.in_use and now - asked_at > IDLE_FOR:
                del pollers[name]
        pollers[formance_conn_id] = (Poller(formance_conn_id), now)
    poller, _ = pollers[formance_conn_id]
    pollers[formance_conn_id] = (poller, now)
    return poller
