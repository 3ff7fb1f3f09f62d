"""Words for people, in messages and logs."""

from __future__ import annotations

from collections.abc import Iterable


def in_words(seconds: float) -> str:
    """Return seconds for a person, e.g. ``1 hour 30 minutes``, ``0.5 s``."""
    import pendulum

    if seconds < 1:
        return f"{seconds:g} s"
    return pendulum.duration(seconds=seconds).in_words(locale="en")


def listed(names: Iterable[object], at_most: int = 10) -> str:
    """Return names in a row, e.g. ``a, b and 5 more``; ``none`` where there are none."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - at_most} more" if len(texts) > at_most else ""
    return (", ".join(texts[:at_most]) or "none") + more
