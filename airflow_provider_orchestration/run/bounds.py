"""
How large a record may become: 32 kB, whatever the run.

Airflow's REST API refuses a value above 65,535 bytes, so a larger record could not be adopted or forgotten any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from airflow_provider_orchestration.run.record import RunRecord

#: Bytes of a record as JSON.
LARGEST_RECORD = 32_000
#: So many of the latest earlier submissions, and of the decisions, are kept.
LATEST = 10
_CUT = "only the latest earlier submissions and decisions are kept; the logs of the tries name all"
_LONGEST_ERROR = 1_000
_LONGEST_TEXT = 300


def within_bounds(record: RunRecord) -> RunRecord:
    """Return the record with what is too much of it left out, and said to be."""
    if max(len(record.earlier), len(record.decisions)) > LATEST:
        record = record.but(
            earlier=record.earlier[-LATEST:],
            decisions=record.decisions[-LATEST:],
            cut=_CUT,
        )
    record = record.but(
        error=_shortened(record.error, _LONGEST_ERROR),
        earlier=tuple(
            msgspec.structs.replace(one, error=_shortened(one.error, _LONGEST_TEXT)) for one in record.earlier
        ),
    )
    too_much = size_of(record) - LARGEST_RECORD
    if record.result is not None and too_much > 0:
        record = record.but(result=_smaller(record.result, size_of(record.result) - too_much))
    while record.earlier and size_of(record) > LARGEST_RECORD:
        record = record.but(earlier=record.earlier[1:], cut=_CUT)
    return record


def _smaller(result: Mapping[str, Any], room: int) -> dict[str, Any]:
    """Return a result of so many bytes at the most: without metadata, and with the first stages and transactions."""
    small: dict[str, Any] = {
        name: _shortened(value, _LONGEST_TEXT) if isinstance(value, str) else value for name, value in result.items()
    }
    whole: dict[str, list[Any]] = {
        "stages": [{**one, "error": _shortened(one.get("error"), _LONGEST_TEXT)} for one in small["stages"]],
        "transactions": [{**one, "metadata": None} for one in small["transactions"] or ()],
    }
    kept = {name: len(items) for name, items in whole.items()}
    while True:
        for name in kept if small["transactions"] is not None else ("stages",):
            small[name] = whole[name][: kept[name]]
        said = ", ".join(f"{kept[name]} of {len(items)} {name}" for name, items in whole.items())
        small["cut"] = (
            f"{said}, without metadata: the whole is in the return_value of the try that saw the end, and in the "
            "instance's histories while Flows has them"
        )
        if size_of(small) <= room or not any(kept.values()):
            return small
        longest = max(kept, key=lambda name: size_of(whole[name][: kept[name]]))
        kept[longest] = kept[longest] * 3 // 4


def size_of(value: object) -> int:
    """Return the bytes of a value as Airflow keeps it, with spaces and everything but ASCII escaped."""
    return len(json.dumps(msgspec.to_builtins(value)))


def _shortened(text: str | None, longest: int) -> str | None:
    return text if text is None or len(text) <= longest else f"{text[:longest]}... (cut)"
