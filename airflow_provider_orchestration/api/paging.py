"""
The pages of a list, by the cursors of the second version of the API.

A cursor names the place of a page: base64 of a JSON object with an ``offset``, recorded on both generations of server.
So where it is known how long a list may be, the next pages are asked for at once, each by a cursor of our own making;
a page counts only if the page before it names this very cursor as the next one.
"""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Items of a page: the most that a server gives which cuts lists.
PAGE_SIZE = 100
#: Pages that are asked for at once.
AT_ONCE = 4


class Page(Protocol):
    """What a page says of the next one."""

    @property
    def has_more(self) -> bool:
        """Whether there is a next one."""

    @property
    def next(self) -> str:
        """Its cursor; empty where there is none."""


_Page = TypeVar("_Page", bound=Page)


def walk(
    fetch: Callable[[dict[str, str]], _Page], query: dict[str, str], expected: int = 0, at_once: int = AT_ONCE
) -> Iterator[_Page]:
    """
    Give the pages of a list, to the first that says that there is no more, or not where.

    :param fetch: asks for a page, by its query; called from several threads
    :param query: what the first page is asked for with
    :param expected: items that the list is likely to have. More than two pages of them are fetched ``at_once``, and
        held in memory until it is their turn.
    """
    page = fetch(query)
    yield page
    left = -(-expected // PAGE_SIZE) - 1
    if min(left, at_once) < 2:
        # There is nothing to fetch beside the next one.
        while page.has_more and page.next:
            page = fetch({"cursor": page.next})
            yield page
        return
    threads = ThreadPoolExecutor(at_once, thread_name_prefix="formance-pages")
    try:
        while page.has_more and page.next:
            following = _following(page.next, min(at_once, left) - 1)
            asked = [threads.submit(fetch, {"cursor": cursor}) for cursor in (page.next, *following)]
            for number, answer in enumerate(asked):
                if number and not (page.has_more and _place(page.next) == _place(following[number - 1])):
                    break
                page = answer.result()
                left -= 1
                yield page
    finally:
        # What does not count is not waited for.
        threads.shutdown(wait=False, cancel_futures=True)


def _place(cursor: str) -> Any:
    """Return what a cursor says; itself, where that cannot be read."""
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        return cursor


def _following(cursor: str, number: int) -> list[str]:
    """Return the cursors of so many pages after one; none, where its place is not known."""
    place = _place(cursor)
    if not isinstance(place, dict) or not all(isinstance(place.get(name), int) for name in ("offset", "pageSize")):
        return []
    return [_encode(place | {"offset": place["offset"] + step * place["pageSize"]}) for step in range(1, number + 1)]


def _encode(place: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")
