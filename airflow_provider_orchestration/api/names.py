"""
What a name meant a moment ago, for the tasks of one mapped list that run in one process.

Where a server gives its lists page by page, a name costs two passes over all workflows; a thousand indexes (in
``dag.test``, say) are not to page a thousand times. It is safe for ten seconds and for indexes of the same task in the
same DAG run: they are one order, and a workflow that is deployed while they run comes too late for some of them anyway.
What is deployed before them, by a task or by anybody else, is seen: the first of them looks.
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
_known: OrderedDict[tuple[str, str, str], tuple[str, float]] = OrderedDict()


def recall(base_url: str, name: str, asked_by: str) -> str | None:
    """Return the id of the workflow that a name meant on a stack, None where that is not known or too long ago."""
    with _lock:
        workflow_id, looked_at = _known.get((base_url, name, asked_by), ("", float("-inf")))
    return workflow_id if time.monotonic() < looked_at + HOLDS else None


def remember(base_url: str, name: str, asked_by: str, workflow_id: str, looked_at: float) -> None:
    """Take note of what a look that began at this monotonic time found."""
    with _lock:
        _known[base_url, name, asked_by] = (workflow_id, looked_at)
        while len(_known) > _MOST:
            _known.popitem(last=False)
