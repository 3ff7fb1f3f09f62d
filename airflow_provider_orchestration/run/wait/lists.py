"""
Lists of instances, read for nothing but which of them run, and when a list is cheaper than single reads.

Thousands at a time are decoded in a few milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_orchestration.api.paging import AT_ONCE, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Set

    from airflow_provider_orchestration.api.client import FlowsClient

#: From this number of waiters on one workflow, one list is asked for instead of each instance. A short list costs what
#: one read does, 0.7 ms of CPU here (`benchmarks/waiting.py`), so it is cheaper from 2 on; of two the stages are told
#: at each look in return...
LIST_FROM = 3
#: ... unless the list holds more items than so many for each of them (than a page for each where it comes in pages): a
#: single read costs 21 ms on the real server (flows-api, "What bites", 11) and 0.7 ms here, an item of a list 25 us
#: there and 10 us here.
ITEMS_PER_READ = 600
#: From this number of instances that vanished from the list at once, a second list confirms that they have ended...
CONFIRM_BY_LIST_FROM = 100
#: ... after so many of them were read and had ended.
CONFIRM_SAMPLE = 8


@dataclass
class ListCost:
    """What a list of a workflow costs: how long the last one was, and whether it came page by page."""

    length: int = 0
    paged: bool = False

    def note(self, running: Running) -> None:
        """Take note of a list."""
        self.length, self.paged = len(running.ids), running.paged

    def cannot_be_had(self, reads: int) -> None:
        """Take note that a list cannot be had where so many wait: for a while they are read one by one."""
        self.length, self.paged = 20 * PAGE_SIZE * reads, True

    def is_less_than(self, reads: int) -> bool:
        """Tell whether one list costs less than so many single reads."""
        if reads < LIST_FROM:
            return False
        if self.length <= reads * (PAGE_SIZE if self.paged else ITEMS_PER_READ):
            return True
        # That was a while ago: the list is tried again one day.
        self.length = int(self.length * 0.95)
        return False


class _Listed(msgspec.Struct, frozen=True, gc=False):
    # A list repeats the whole definition in every item; what is not named here is skipped by the decoder, which holds
    # Python's lock, and so the event loop, while it decodes.
    id: str
    terminated: bool


@dataclass(frozen=True)
class Running:
    """
    The ids of a workflow's instances that run; none where the workflow was deleted.

    :param paged: they were read page by page: one that is missing may run all the same.
    :param requests: what they cost.
    """

    ids: frozenset[str]
    paged: bool
    requests: int = 1


def running_ids(client: FlowsClient, workflow_id: str, expected: int = 0, at_once: int = AT_ONCE) -> Running:
    """
    Return which of the workflow's instances run.

    :param expected: how many these are likely to be.
    :param at_once: pages that may be asked for at once, four at the most.
    :raises FlowsApiError: the list cannot be had, or not whole.
    """
    from airflow_provider_orchestration.api import lists

    listed = client.lists.read(
        lists.INSTANCES,
        _Listed,
        {"workflow_id": workflow_id},
        query={"workflowID": workflow_id, "running": "true"},
        expected=expected,
        at_once=min(at_once, AT_ONCE),
        retries=0,
    )
    ids = frozenset(one.id for one in listed.items if not one.terminated)
    return Running(ids, listed.paged, listed.requests)


def confirm_ended(client: FlowsClient, workflow_id: str, vanished: Set[str]) -> Set[str]:
    """
    Return those that vanished from the list of the running, and have ended; costs two requests, however many they are.

    A second list must miss them, too, and their workflow must still be there: the list leaves out what runs on a
    deleted one. (A list of those that ended would say it outright, but it holds all that ever ran.) A list that was
    read page by page proves nothing by what it misses.
    """
    still = running_ids(client, workflow_id)
    if still.paged or client.get_workflow(workflow_id, retries=0).deleted_at is not None:
        return frozenset()
    return vanished - still.ids
