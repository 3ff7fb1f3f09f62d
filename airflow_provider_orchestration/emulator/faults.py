"""Faults that a test asks for, and the counts of what reached the server."""

from __future__ import annotations

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
    if not isinstance(times, int) or isinstance(times, bool) or times < ALWAYS:
        raise FaultError(f"times is {times!r}; it must be a whole number, or 'always' (-1)")
    for needed, kinds in {
        "status": ("status", "status_after"),
        "seconds": ("delay",),
        "per_second": ("rate_limit",),
    }.items():
        if kind in kinds and not isinstance(wish.get(needed), (int, float)):
            raise FaultError(f"{needed} is {wish.get(needed)!r}; a fault of kind {kind!r} needs a number there")
    return Fault(str(operation), str(kind), times, wish)


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
