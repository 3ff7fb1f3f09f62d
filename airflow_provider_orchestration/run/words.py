"""Words for people, in messages and logs."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable


def in_words(seconds: float) -> str:
    """Return seconds for a person, e.g. ``1 hour 30 minutes``, ``0.5 s``."""
    import pendulum

    if seconds < 1:
        return f"{seconds:g} s"
    return pendulum.duration(seconds=seconds).in_words(locale="en")


#: Characters of a message that Airflow's log view shows on a screen of 1,280 pixels, if it has all of it. What a person
#: needs most is shorter: beside the list of runs there is room for 84.
WIDTH = 140


def wrapped(text: object, width: int = WIDTH) -> list[str]:
    """Return a text of any length (what a server says) as lines of a log that are seen without scrolling."""
    return textwrap.wrap(str(text), width, break_long_words=False, break_on_hyphens=False, subsequent_indent="  ")


def tell(say: Callable[..., object], text: object) -> None:
    """Say a text of any length by a method of a logger, as lines that are seen without scrolling."""
    for line in wrapped(text):
        say("%s", line)


def listed(names: Iterable[object], at_most: int = 10) -> str:
    """Return names in a row, e.g. ``a, b and 5 more``; ``none`` where there are none."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - at_most} more" if len(texts) > at_most else ""
    return (", ".join(texts[:at_most]) or "none") + more
