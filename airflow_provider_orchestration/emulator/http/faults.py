"""Faults that a test asks for, and the counts of what reached the server."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = (
    "reset_before",
    "reset_after",
    "status",
    "status_after",
    "delay",
    "hang_after",
    "garbage",
    "expire_tokens",
    "worker_down",
    "rate_limit",
)
_LASTING = ("worker_down", "rate_limit")
ALWAYS = -1


class FaultError(ValueError):
    """A fault that cannot be; the message says why."""


@dataclass
class Fault:
    """What goes wrong, with which operation, how many more times."""

    operation: str
    kind: str
    times: int
    settings: Mapping[str, Any]
    window: int = 0
    used: int = 0

    def exceeded(self) -> bool:
        """Count a request, and say whether it is one too many in this second."""
        second = int(time.monotonic())
        if second != self.window:
            self.window, self.used = second, 0
        self.used += 1
        return bool(self.used > self.settings["per_second"])


def read_fault(wish: Any, operations: set[str]) -> Fault:
    """A fault as it came as JSON.

    :raises FaultError: a field is missing or wrong; the message names it.
    """
    if not isinstance(wish, dict):
        raise FaultError(f"a fault is an object, not {wish!r}")
    kind = wish.get("kind")
    if kind not in KINDS:
        raise FaultError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    operation = wish.get("operation", "*")
    if operation not in operations | {"token", "*"}:
        raise FaultError(f"operation is {operation!r}; it must be 'token', '*' or the name of an operation")
    times = wish.get("times", ALWAYS if kind in _LASTING else 1)
    times = ALWAYS if times == "always" else times
    if not _is_number(times, ALWAYS, whole=True) or times == 0:
        raise FaultError(f"times is {times!r}; it must be a whole number from 1, or 'always' (-1)")
    _check_settings(kind, wish)
    return Fault(str(operation), str(kind), times, wish)


def _check_settings(kind: str, wish: dict[str, Any]) -> None:
    status = kind in ("status", "status_after")
    if status and not _is_number(wish.get("status"), 200, 599, whole=True):
        raise FaultError(f"status is {wish.get('status')!r}; {kind!r} needs a whole number from 200 to 599 there")
    if status and not isinstance(wish.get("headers") or {}, dict):
        raise FaultError(f"headers is {wish['headers']!r}; it must be an object, or left out")
    for needed, of_kind in (("seconds", "delay"), ("per_second", "rate_limit")):
        if kind == of_kind and not _is_number(wish.get(needed), 0):
            raise FaultError(f"{needed} is {wish.get(needed)!r}; a fault of kind {kind!r} needs a number from 0 there")


def _is_number(value: Any, least: float, most: float = sys.float_info.max, *, whole: bool = False) -> bool:
    fitting = int if whole else (int, float)
    return isinstance(value, fitting) and not isinstance(value, bool) and least <= value <= most


@dataclass
class Faults:
    """The faults there are, the oldest first."""

    pending: list[Fault] = field(default_factory=list)

    def take(self, operation: str) -> Fault | None:
        """The fault that a request of an operation meets; it is used up by one."""
        for fault in self.pending:
            if fault.operation not in (operation, "*") or fault.kind == "worker_down":
                continue
            if fault.kind == "rate_limit" and not fault.exceeded():
                continue
            if fault.times != ALWAYS:
                fault.times -= 1
                if fault.times <= 0:
                    self.pending.remove(fault)
            return fault
        return None


@dataclass
class Counters:
    """What reached the server since the last look."""

    requests: dict[str, int] = field(default_factory=dict)
    tokens: int = 0
    connections: int = 0

    def reset(self) -> None:
        """Begin again."""
        self.requests.clear()
        self.tokens = self.connections = 0
