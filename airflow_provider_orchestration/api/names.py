"""
Which workflow a name meant a moment ago, remembered by a process.

Where a server gives its lists page by page, a name costs two passes over all workflows; a thousand tasks of one process
(``dag.test`` of a mapped task) are not to page a thousand times. It is safe for ten seconds: a task that has read the
list can be held up as long before it submits, so a deployment that new may come too late for it anyway. One that this
process makes itself is known at once.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

#: Seconds for which a name is remembered, from the beginning of the look.
HOLDS = 10.0
#: Names that are remembered.
_MOST = 1000

_lock = threading.Lock()
_known: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()


def recall(base_url: str, name: str) -> str | None:
    """Return the id of the workflow that a name meant on a stack, None where that is not known or too long ago."""
    with _lock:
        workflow_id, looked_at = _known.get((base_url, name), ("", float("-inf")))
    return workflow_id if time.monotonic() < looked_at + HOLDS else None


def remember(base_url: str, name: str, workflow_id: str, looked_at: float) -> None:
    """Take note of what a look that began at this monotonic time found."""
    with _lock:
        _known[base_url, name] = (workflow_id, looked_at)
        while len(_known) > _MOST:
            _known.popitem(last=False)


def forget(base_url: str) -> None:
    """Forget the names of a stack whose workflows this process has changed."""
    with _lock:
        for key in [key for key in _known if key[0] == base_url]:
            del _known[key]
