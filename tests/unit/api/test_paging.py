"""Pages of a list, a few at once: whatever the cursors are, the pages are those that one gets one after the other."""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.api import paging
from tests.contract.exchanges import read_record


@dataclass
class Part:
    number: int
    next: str

    @property
    def has_more(self) -> bool:
        return bool(self.next)


class Server:
    """So many pages, found by their cursors; `opaque` ones do not tell what they say."""

    def __init__(self, pages: int, *, opaque: bool = False, pause: float = 0.0) -> None:
        self.pages, self.opaque, self.pause = pages, opaque, pause
        self.asked: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def cursor(self, number: int) -> str:
        return f"page-{number}" if self.opaque else paging._encode({"offset": number * 100, "pageSize": 100})

    def fetch(self, query: dict[str, str]) -> Part:
        with self._lock:
            self.asked.append(query)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        threading.Event().wait(self.pause)
        with self._lock:
            self.at_once -= 1
        number = 0 if "cursor" not in query else [self.cursor(one) for one in range(999)].index(query["cursor"])
        return Part(number, self.cursor(number + 1) if number + 1 < self.pages else "")


@given(pages=st.integers(1, 30), expected=st.integers(0, 4000), opaque=st.booleans())
def test_each_page_comes_once_and_in_order(pages, expected, opaque):
    server = Server(pages, opaque=opaque)
    assert [part.number for part in paging.walk(server.fetch, {"pageSize": "100"}, expected)] == list(range(pages))
    assert server.asked[0] == {"pageSize": "100"}
    # What is asked for beyond the end is fewer than one round of pages.
    assert len(server.asked) < pages + paging.AT_ONCE
    if opaque or expected <= 100 * pages:
        assert len(server.asked) == pages


def test_a_few_are_fetched_at_once():
    server = Server(20, pause=0.02)
    assert len(list(paging.walk(server.fetch, {}, 2000))) == 20
    assert server.most_at_once == paging.AT_ONCE


def test_a_page_that_nobody_named_as_the_next_one_does_not_count():
    """Each names the page after the next one: what was asked for ahead is not it."""

    class Skipping(Server):
        def fetch(self, query: dict[str, str]) -> Part:
            part = super().fetch(query)
            return Part(part.number, self.cursor(part.number + 2) if part.number + 2 < self.pages else "")

    assert [part.number for part in paging.walk(Skipping(20).fetch, {}, 2000)] == list(range(0, 20, 2))


def test_an_error_counts_only_where_the_page_does():
    class Failing(Server):
        def fetch(self, query: dict[str, str]) -> Part:
            part = super().fetch(query)
            if part.number >= 3:
                raise ConnectionError(part.number)
            return part

    assert len(list(paging.walk(Failing(3).fetch, {}, 900))) == 3
    with pytest.raises(ConnectionError):
        list(paging.walk(Failing(9).fetch, {}, 900))


def test_a_cursor_that_equals_nothing_is_followed():
    """NaN, in JSON as Python reads it."""
    nothing = base64.urlsafe_b64encode(b"NaN").decode()
    pages = {"": Part(0, nothing), nothing: Part(1, "")}
    found = paging.walk(lambda query: pages[query.get("cursor", "")], {}, 900)
    assert [part.number for part in found] == [0, 1]


def test_one_at_a_time_where_that_is_wanted():
    server = Server(9, pause=0.01)
    assert len(list(paging.walk(server.fetch, {}, 900, at_once=1))) == 9
    assert server.most_at_once == 1


def test_what_does_not_count_is_not_waited_for():
    class Hanging(Server):
        def fetch(self, query: dict[str, str]) -> Part:
            part = super().fetch(query)
            if part.number >= 2:
                threading.Event().wait(2.0)
            return Part(part.number, "" if part.number == 1 else part.next)

    begun = time.monotonic()
    assert len(list(paging.walk(Hanging(9).fetch, {}, 900))) == 2
    assert time.monotonic() - begun < 1.5


def test_cursors_of_both_servers_are_read_and_made_as_they_are():
    cursors = [
        cursor
        for server in ("2.6.0", "next")
        for exchange in read_record(server)
        if exchange.path.startswith("/v2/") and "cursor" in (exchange.response or {})
        for name in ("next", "previous")
        if (cursor := exchange.response["cursor"].get(name))
    ]
    assert len(cursors) == 8
    for cursor in cursors:
        assert isinstance(paging._place(cursor), dict)
        assert paging._encode(paging._place(cursor)) == cursor
        assert paging._following(cursor, 1) != [cursor]
