"""What the real server owes to Go: its times, durations, numbers and ways to print a value."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

NANOSECONDS = 1_000_000_000

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION = re.compile(r"([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d?:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_ns() -> int:
    """The time in nanoseconds since 1970; never with the last three digits all zero, as a Go clock's rarely are."""
    now = time.time_ns()
    return now if now % 1000 else now + 1


def format_time(nanoseconds: int, decimals: int) -> str:
    """RFC 3339 in UTC, cut (not rounded) to ``decimals`` decimals, without trailing zeros."""
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    moment = time.gmtime(seconds)
    digits = f"{fraction:09d}"[:decimals].rstrip("0")
    text = (
        f"{moment.tm_year:04d}-{moment.tm_mon:02d}-{moment.tm_mday:02d}"
        f"T{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}"
    )
    return f"{text}.{digits}Z" if digits else f"{text}Z"


ZERO_TIME = -62_135_596_800 * NANOSECONDS  # Go's zero time, 0001-01-01


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time, rounded to microseconds as the server's times are.

    :raises ValueError: the text is no RFC 3339 time.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    day, clock, fraction, zone = match.groups()
    if clock[1] == ":":
        clock = "0" + clock
    moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone == 'Z' else zone}")
    whole = moment - _EPOCH
    nanoseconds = (whole.days * 86_400 + whole.seconds) * NANOSECONDS + int(((fraction or "") + "0" * 9)[:9])
    return round(nanoseconds / 1000) * 1000


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as ``1h30m`` or ``1.5s``.

    :raises ValueError: the text is no Go duration.
    """
    if text in ("0", "+0", "-0"):
        return 0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    total = sum(int(Decimal(number) * _UNITS[unit]) for number, unit in _DURATION_PART.findall(match[2]))
    if total > 2**63 - 1:
        raise ValueError(text)
    return -total if match[1] == "-" else total


def format_duration(nanoseconds: int) -> str:
    """As Go prints a duration: ``8s``, ``1m30s``, ``1.5s``, ``250ms``."""
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < NANOSECONDS:
        unit, size = next((unit, _UNITS[unit]) for unit in ("ms", "µs", "ns") if rest >= _UNITS[unit])
        return f"{sign}{_plain(Decimal(rest) / size)}{unit}"
    minutes, rest = divmod(rest, 60 * NANOSECONDS)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_plain(Decimal(rest) / NANOSECONDS)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def number(value: float) -> int | float:
    """A float64 as Go writes it in JSON: whole numbers below 1e21 in full, with the shortest digits that give them."""
    if value == value and abs(value) < 1e21 and value == int(value):
        return int(Decimal(repr(value)))
    return value


def through_float(value: Any) -> Any:
    """What is left of a document after Go decoded it into ``any``: numbers are float64, keys are sorted."""
    if isinstance(value, dict):
        return {key: through_float(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [through_float(item) for item in value]
    return number(float(value)) if fits_float(value) else value


def fits_float(value: Any) -> bool:
    """A whole number that is not too large to be a float64 (those that are stay whole numbers)."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def sprint(value: Any) -> str:
    """As ``fmt.Sprint`` prints what came from JSON."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _general(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{sprint(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(sprint(item) for item in value) + "]"
    return str(value)


def _general(value: float) -> str:
    if value and (abs(value) < 1e-4 or abs(value) >= 1e6):
        mantissa, exponent = f"{Decimal(repr(value)):e}".split("e")
        return f"{_plain(Decimal(mantissa))}e{exponent[0]}{exponent[1:].zfill(2)}"
    return str(number(value))


def type_name(value: Any) -> str:
    """``%T`` of a value that came from JSON."""
    if value is None:
        return "<nil>"
    names = {str: "string", bool: "bool", dict: "map[string]interface {}", list: "[]interface {}"}
    return names.get(type(value), "float64")


def dump(value: Any) -> bytes:
    """JSON as Go's encoder writes it: compact, HTML characters escaped, a newline at the end."""
    return escape(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")) + b"\n"


def escape(text: bytes) -> bytes:
    """Go escapes what could end a script element; in JSON these bytes occur in strings only."""
    return text.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


def uuid7() -> str:
    """A time-ordered UUID, as the engine behind Flows gives to its runs."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
