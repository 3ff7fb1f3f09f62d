"""
Lists that are whole, or an error.

Flows up to 2.6 gives all there is. The next server cuts a list at 15 items, at 100 with ``pageSize``, without a word
(flows-api, "Two generations of server"), and which server it is cannot be asked for. So a list goes by what the answers
prove, and where they prove nothing it is read page by page through the second version of the API, which both have.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from airflow_provider_orchestration.api import operations
from airflow_provider_orchestration.api.paging import AT_ONCE, PAGE_SIZE, walk
from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    IncompleteListError,
    InvalidAnswerError,
    NotFoundError,
    RefusedInputError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_orchestration.api.operations import Operation
    from airflow_provider_orchestration.api.session import FlowsSession
    from airflow_provider_orchestration.api.wrapping import Cursor

#: Seconds for which it is believed that a server cuts its lists, or does not: it may be replaced by another one.
_BELIEVED = 600.0
#: Passes over a list of which two in a row must agree.
_PASSES = 5
#: What a gateway answers that lets only the first version through.
_NO_PAGES = (NotFoundError, RefusedInputError, InvalidAnswerError, AuthenticationError)


class HasId(Protocol):
    """What a list holds: something with an id."""

    @property
    def id(self) -> str:
        """Its id."""


_Item = TypeVar("_Item", bound=HasId)


@dataclass(frozen=True)
class List:
    """A list of the API: the operation of its first version, which may be cut, and that of its second, in pages."""

    whole: Operation
    pages: Operation


WORKFLOWS = List(operations.LIST_WORKFLOWS, operations.LIST_WORKFLOWS_V2)
INSTANCES = List(operations.LIST_INSTANCES, operations.LIST_INSTANCES_V2)
TRIGGERS = List(operations.LIST_TRIGGERS, operations.LIST_TRIGGERS_V2)


@dataclass(frozen=True)
class Listed(Generic[_Item]):
    """
    All items of a list, each once.

    :param paged: it was read page by page. The server has no order to page by, and things move meanwhile: an item that
        is missing may be there all the same.
    :param requests: answers that it is made of.
    """

    items: list[_Item]
    paged: bool
    requests: int = 1


class WholeLists:
    """Reads the lists of a client, and remembers what its server's answers proved. Safe to use from many threads."""

    def __init__(self, session: FlowsSession) -> None:
        self._session = session
        self._uncut_until = self._cut_until = self._cap_until = float("-inf")
        #: The most items that the server is known to give in one answer.
        self._cap = 0

    def read(
        self,
        what: List,
        model: type[_Item],
        ids: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        ends: float | None = None,
        expected: int = 0,
        at_once: int = AT_ONCE,
        **limits: Any,
    ) -> Listed[_Item]:
        """
        Return a list, whole.

        :param ids: named in errors
        :param query: which items are asked for
        :param ends: epoch second from which no more pages are asked for; None reads them all
        :param expected: items that it is likely to have; of many, pages are fetched ``at_once``
        :param limits: ``retries`` and ``timeout``, of each request
        :raises IncompleteListError: it may be cut, and nothing can be done about it
        """
        asked = dict(query or {})
        items: list[_Item] = []
        requests = 0
        if expected < PAGE_SIZE or time.monotonic() >= self._cut_until:
            sized = asked | {"pageSize": str(PAGE_SIZE)}
            items = self._session.call_list(what.whole, model, ids, query=sized, **limits)
            requests = 1
            whole = self._is_whole(what, len(items))
            if whole:
                return Listed(items, paged=False)
            if whole is None:
                requests = 2
                if all_of_them := self._of_size_nothing(what, model, ids, asked, limits):
                    return Listed(all_of_them, paged=False, requests=requests)
        found: dict[str, _Item] = {}
        try:
            for page in self.pages(what, model, ids, query=asked, expected=expected, at_once=at_once, **limits):
                requests += 1
                found |= {item.id: item for item in page}
                if ends is not None and time.time() >= ends:
                    raise _incomplete(what, f"more than {len(found)} items, which could not be read in time")
        except IncompleteListError as error:
            error.items = _each_once(items, found.values())
            raise
        return Listed(list(found.values()), paged=True, requests=requests)

    def read_surely(
        self,
        what: List,
        model: type[_Item],
        ids: Mapping[str, str] | None = None,
        *,
        concerns: Callable[[_Item], bool],
        **request: Any,
    ) -> Listed[_Item]:
        """
        Return a list of which an absence is to be believed: read until two passes in a row saw the same items.

        What any pass saw is in it, so of things that are deleted meanwhile some that are gone.

        :param concerns: tells the items that must be the same, and that the caller may find missing
        :param request: as for `read`
        :raises IncompleteListError: it may be cut, or the passes do not agree
        """
        before: frozenset[str] | None = None
        found: dict[str, _Item] = {}
        for _ in range(_PASSES):
            try:
                listed = self.read(what, model, ids, **request, expected=len(found))
            except IncompleteListError as error:
                error.items = _each_once(found.values(), error.items)
                raise
            found |= {item.id: item for item in listed.items}
            seen = frozenset(item.id for item in listed.items if concerns(item))
            if not listed.paged or seen == before:
                return Listed(list(found.values()), listed.paged)
            before = seen
        moving = _incomplete(what, f"another list each of {_PASSES} times: things move while it is read page by page")
        moving.items = list(found.values())
        raise moving

    def pages(
        self,
        what: List,
        model: type[_Item],
        ids: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        expected: int = 0,
        at_once: int = AT_ONCE,
        **limits: Any,
    ) -> Iterator[list[_Item]]:
        """
        Give a list page by page, by the second version of the API.

        :param expected: items that it is likely to have; of many, pages are fetched ``at_once``, and held in memory
        :raises IncompleteListError: it is not to be had
        """

        def fetch(asked: dict[str, str]) -> Cursor[_Item]:
            try:
                return self._session.call_page(what.pages, model, ids, query=asked, **limits)
            except _NO_PAGES as error:
                why = f"100 items or fewer, and may have more; its pages cannot be had: {error}"
                raise _incomplete(what, why) from error

        came_from: set[str] = set()
        for page in walk(fetch, dict(query or {}) | {"pageSize": str(PAGE_SIZE)}, expected, at_once):
            self._cap, self._cap_until = max(self._known_cap(), page.page_size), time.monotonic() + _BELIEVED
            yield page.data or []
            if page.has_more and (not page.next or page.next in came_from):
                raise _incomplete(what, "a page, says that there is more, and not where")
            came_from.add(page.next)

    def _known_cap(self) -> int:
        return self._cap if time.monotonic() < self._cap_until else 0

    def _is_whole(self, what: List, number: int) -> bool | None:
        """Tell whether an answer of so many items is the whole list; None where it does not show."""
        if number > PAGE_SIZE and what is not TRIGGERS:
            # Nobody was asked for so many: this server cuts nothing.
            self._note(cuts=False)
            return True
        if number == 0 or number < self._known_cap():
            return True
        if what is TRIGGERS:
            # Every server cuts these.
            return False
        return True if number < PAGE_SIZE and time.monotonic() < self._uncut_until else None

    def _of_size_nothing(
        self,
        what: List,
        model: type[_Item],
        ids: Mapping[str, str] | None,
        query: dict[str, str],
        limits: dict[str, Any],
    ) -> list[_Item]:
        """
        Return what the server gives where nothing is asked for.

        One that gives something does not look at the size of pages (recorded on both: "page size 0"), so this is all
        there is; the list before may be another server's, behind the same address.
        """
        items = self._session.call_list(what.whole, model, ids, query=query | {"pageSize": "0"}, **limits)
        self._note(cuts=not items)
        return items

    def _note(self, *, cuts: bool) -> None:
        until = time.monotonic() + _BELIEVED
        self._cut_until, self._uncut_until = (until, float("-inf")) if cuts else (float("-inf"), until)


def _each_once(*some: Iterable[_Item]) -> list[_Item]:
    return list({item.id: item for items in some for item in items}.values())


def _incomplete(what: List, why: str) -> IncompleteListError:
    name = what.whole.name
    return IncompleteListError(
        f"{name}: the server gave {why}",
        details=(
            "a list that may be cut is not taken for whole",
            f"let GET {what.pages.path} of Flows through to this client, as its other paths are",
        ),
        operation=name,
    )
