"""Lists in pages: ``pageSize``, and the cursors of the second version of the API."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Items of a page where nothing is asked for, and at the most.
PAGE, LARGEST_PAGE = 15, 100


class QueryError(Exception):
    """A parameter of a query that cannot be; the message is the server's."""

    def __init__(self, name: str) -> None:
        super().__init__(f"invalid '{name}' query param")


def page_size(query: dict[str, str]) -> int:
    """
    Return how many items are asked for; 0 is none.

    :raises QueryError: it is no whole number
    """
    size = query.get("pageSize") or str(PAGE)
    if not re.fullmatch(r"[0-9]+", size) or int(size) >= 2**32:
        raise QueryError("pageSize")
    return min(int(size), LARGEST_PAGE)


@dataclass(frozen=True)
class Page:
    """
    Which part of a list is asked for.

    :param filters: what the list is of, as it stands in a cursor.
    """

    offset: int
    size: int
    filters: dict[str, Any] | None

    def show(self, items: Sequence[bytes]) -> bytes:
        """Return the answer, of the JSON of all items."""
        end = self.offset + self.size
        shown = [
            f'"pageSize":{self.size}',
            f'"hasMore":{json.dumps(end < len(items))}',
            *([f'"previous":"{self._at(max(0, self.offset - self.size))}"'] if self.offset else []),
            *([f'"next":"{self._at(end)}"'] if end < len(items) else []),
        ]
        data = b",".join(items[self.offset : end])
        return b'{"cursor":{' + ",".join(shown).encode() + b',"data":[' + data + b"]}}\n"

    def _at(self, offset: int) -> str:
        """Return the cursor of the page that begins at an item."""
        place = {"offset": offset, "order": 0, "pageSize": self.size, "filters": self.filters}
        return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).rstrip(b"=").decode()


def read_page(query: dict[str, str], filters: dict[str, Any] | None) -> Page:
    """
    Return the page that a query asks for: by a cursor, which holds all the rest, or from the beginning.

    :param filters: what the query itself asks for.
    :raises QueryError: the cursor is none, or the size of a page is no number
    """
    cursor = query.get("cursor")
    if not cursor:
        return Page(0, page_size(query), filters)
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return Page(int(place["offset"]), int(place["pageSize"]), place["filters"])
    except (binascii.Error, ValueError, TypeError, KeyError):
        raise QueryError("cursor") from None
