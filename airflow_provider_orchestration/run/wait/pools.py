"""
The threads of a process in which requests wait: bounded over all connections, from their first user to the last.

Servers that do not answer have threads of their own, so that they keep nobody else waiting. Lists of any length have a
few, as each thread keeps the memory that its longest answer took.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

READS, LISTS, SILENT = "reads", "lists", "silent"
SIZES = {READS: 48, LISTS: 8, SILENT: 8}

_lock = threading.Lock()
_users = 0
_pools: dict[str, ThreadPoolExecutor] = {}


def begin_use() -> None:
    """Keep the threads until :func:`end_use`."""
    global _users  # noqa: PLW0603 - one for the process
    with _lock:
        _users += 1


def end_use() -> None:
    """Let go of the threads with the last user."""
    global _users  # noqa: PLW0603 - one for the process
    with _lock:
        _users -= 1
        if _users == 0:
            for pool in _pools.values():
                pool.shutdown(wait=False)
            _pools.clear()


def threads(name: str) -> ThreadPoolExecutor:
    """Return the threads of a kind. Only between :func:`begin_use` and :func:`end_use`."""
    with _lock:
        if name not in _pools:
            _pools[name] = ThreadPoolExecutor(SIZES[name], thread_name_prefix=f"formance-poller-{name}")
        return _pools[name]
