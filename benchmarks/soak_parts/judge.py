"""Whether what a process holds stays as it is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: The share of a run after which it is judged: until then libraries are loaded and pools fill.
WARM_UP = 1 / 3
#: What a figure may grow by from the beginning of the rest to its end, as a share of it, and beside that.
ALLOWED = {"memory": (0.03, 0.0), "threads": (0.0, 4.0), "sockets": (0.0, 20.0), "hold": (0.5, 0.010)}
#: Seconds for which this process may hold the event loop in a usual window.
LONGEST_HOLD = 0.050


@dataclass(frozen=True)
class Sample:
    """
    What a process held at a moment of a run.

    :param at: seconds since the run began.
    :param memory: bytes.
    :param hold: seconds for which it held the event loop at the longest since the last sample, itself at work.
    """

    at: float
    memory: float
    threads: float
    sockets: float
    hold: float


def growth(samples: Sequence[Sample], figure: str) -> tuple[float, float]:
    """
    Return a figure's usual value at the beginning of the judged part of a run, and at its end.

    Both are of a line through all samples there that outliers do not bend (Theil and Sen).
    """
    judged = [one for one in samples if one.at >= WARM_UP * samples[-1].at]
    points = [(one.at, float(getattr(one, figure))) for one in judged]
    slopes = [(y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points) for x2, y2 in points[i + 1 :]]
    slope = statistics.median(slopes)
    start = statistics.median(y - slope * (x - points[0][0]) for x, y in points)
    return start, start + slope * (points[-1][0] - points[0][0])


def complaints(samples: Sequence[Sample]) -> list[str]:
    """Return what is not flat, or is held for too long; none if all is well."""
    found = []
    for figure, (share, more) in ALLOWED.items():
        start, end = growth(samples, figure)
        if end > start * (1 + share) + more:
            found.append(f"{figure} grew from {start:,.6g} to {end:,.6g}")
    usual = statistics.median(one.hold for one in samples if one.at >= WARM_UP * samples[-1].at)
    if usual > LONGEST_HOLD:
        found.append(f"the event loop is held for {usual * 1000:.0f} ms in a usual window")
    return found
