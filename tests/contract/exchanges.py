"""Recorded exchanges, and how an answer is held against one: ids and times aside, but not their form."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:_\d+)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d+))?Z")
_CUT = re.compile(r"\.\.\. (?:\d+ more of the same shape|and (\d+) more)")
_CURSOR = re.compile(r"eyJvZmZzZXQi[\w-]+")  # {"offset… in Base64
_NOBODY = "00000000-0000-0000-0000-000000000000"
_DATA = Path(__file__).parents[1] / "data"


@dataclass(frozen=True)
class Exchange:
    """A recorded request and its answer."""

    number: int
    case: str
    method: str
    path: str
    query: dict[str, str] | None
    request: Any
    status: int
    content_type: str | None
    response: Any

    def __str__(self) -> str:
        return f"{self.number} {self.case}"


def read_record(server: str | None = None) -> list[Exchange]:
    """All exchanges in the order in which they were made.

    :param server: ``2.6.0`` or ``next``, of those recorded on both; None for the older record of the first.
    """
    name = "exchanges.jsonl" if server is None else "exchanges-two-servers.jsonl"
    lines = map(json.loads, (_DATA / name).read_text("utf-8").splitlines())
    mine = [line for line in lines if line.pop("server", None) == server]
    for line in mine:
        if line.get("status") == 204 and server is not None:
            # Written down there for an answer without a body, too; the older record says that it has no type.
            line["content_type"] = None
    # Some lines are no exchange, but what was measured or counted between them.
    return [Exchange(number, **line) for number, line in enumerate(mine) if "status" in line]


def _decoded(cursor: str) -> str:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()


class MismatchError(AssertionError):
    """The answer differs; the message says where and how."""


class Ids:
    """Which id of ours stands for which of the record; learned where they are first seen."""

    def __init__(self) -> None:
        self.ours = {_NOBODY: _NOBODY}

    def translate(self, text: str) -> str:
        """A recorded text with our ids in it."""
        if _CURSOR.fullmatch(text):
            translated = self.translate(_decoded(text))
            return base64.urlsafe_b64encode(translated.encode()).rstrip(b"=").decode()
        return _ID.sub(lambda match: self.ours.get(match[0], match[0]), text)

    def compare(self, recorded: str, ours: str, where: str) -> None:
        """Hold an id against the recorded one.

        :raises MismatchError: it is another thing's id, or none.
        """
        if not _ID.fullmatch(ours):
            raise MismatchError(f"{where}: {ours!r} is no id")
        if ("_" in recorded) != ("_" in ours):
            raise MismatchError(f"{where}: {ours!r} has not the form of {recorded!r}")
        known = self.ours.get(recorded)
        if known is None and ours not in self.ours.values():
            self.ours[recorded] = ours
        elif known != ours:
            raise MismatchError(f"{where}: {ours!r} stands for another thing than {recorded!r}")


def compare(recorded: Any, ours: Any, ids: Ids, accidents: frozenset[str], where: str = "body") -> None:
    """Hold a value against the recorded one.

    :param accidents: keys that are not compared, and may be there where the record has none.
    :raises MismatchError: they differ.
    """
    if isinstance(recorded, dict) and isinstance(ours, dict):
        _compare_objects(recorded, ours, ids, accidents, where)
    elif isinstance(recorded, list) and isinstance(ours, list):
        _compare_lists(recorded, ours, ids, accidents, where)
    elif isinstance(recorded, str) and isinstance(ours, str):
        _compare_texts(recorded, ours, ids, where)
    elif recorded != ours or isinstance(recorded, bool) != isinstance(ours, bool):
        raise MismatchError(f"{where}: {ours!r} instead of {recorded!r}")


def _compare_objects(
    recorded: dict[str, Any], ours: dict[str, Any], ids: Ids, accidents: frozenset[str], where: str
) -> None:
    wanted = [key for key in recorded if key not in accidents]
    there = [key for key in ours if key not in accidents]
    if wanted != there:  # their order is part of the form
        raise MismatchError(f"{where}: the keys {there} instead of {wanted}")
    for key in wanted:
        compare(recorded[key], ours[key], ids, accidents, f"{where}.{key}")


def _compare_lists(recorded: list[Any], ours: list[Any], ids: Ids, accidents: frozenset[str], where: str) -> None:
    cut = isinstance(recorded[-1], str) and _CUT.fullmatch(recorded[-1]) if recorded else None
    if cut:
        # Some requests were left out of the record, so there may be fewer; but there must be more than are shown.
        recorded = recorded[:-1]
        if cut[1] and len(ours) != len(recorded) + int(cut[1]):
            raise MismatchError(f"{where}: {len(ours)} items instead of {len(recorded) + int(cut[1])}")
        if len(ours) <= len(recorded):
            raise MismatchError(f"{where}: {len(ours)} items instead of more than {len(recorded)}")
    elif len(ours) != len(recorded):
        raise MismatchError(f"{where}: {len(ours)} items instead of {len(recorded)}")
    for position, (item, our_item) in enumerate(zip(recorded, ours, strict=False)):
        compare(item, our_item, ids, accidents, f"{where}[{position}]")
    for position, our_item in enumerate(ours[len(recorded) :], len(recorded)):
        if set(our_item) - _OPTIONAL != set(recorded[0]) - _OPTIONAL:
            raise MismatchError(f"{where}[{position}]: {sorted(our_item)} is not of the shape of the others")


_OPTIONAL = {"terminatedAt", "error", "version", "filter", "vars"}


def _compare_texts(recorded: str, ours: str, ids: Ids, where: str) -> None:
    if _ID.fullmatch(recorded) and recorded != _NOBODY:
        ids.compare(recorded, ours, where)
        return
    time = _TIME.fullmatch(recorded)
    if time and time[1]:
        our_time = _TIME.fullmatch(ours)
        if our_time is None:
            raise MismatchError(f"{where}: {ours!r} is no time")
        if (len(time[1]) > 6) != (len(our_time[1] or "") > 6):
            raise MismatchError(f"{where}: {ours!r} has not as many decimals as {recorded!r}")
    elif ids.translate(recorded) != ours:
        raise MismatchError(f"{where}: {ours!r} instead of {ids.translate(recorded)!r}")
