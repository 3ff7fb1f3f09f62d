"""A plot as SVG: what one interval costs, by the number of tasks that wait. Logarithmic on both sides."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape

Figures = Mapping[int, Mapping[str, float]]
WIDTH, HEIGHT, LEFT, TOP = 360, 260, 66, 44
OURS, THEIRS = "#1a7f5a", "#c2571a"


def draw(ours: Figures, theirs: Figures) -> str:
    """Return the picture: requests on the left, the client's CPU on the right."""
    panels = [
        _panel(0, "requests per interval", ours, theirs, "requests_per_interval", (0.5, 20_000), lambda at: f"{at:g}"),
        _panel(470, "client CPU per interval", ours, theirs, "cpu_per_interval", (0.001, 100), _seconds),
    ]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 370" font-family="sans-serif" font-size="12">'
        '<rect width="920" height="370" fill="#fff"/>' + "".join(panels) + "</svg>\n"
    )


def _seconds(value: float) -> str:
    return f"{value * 1000:g} ms" if value < 1 else f"{value:g} s"


def _panel(
    offset: int,
    title: str,
    ours: Figures,
    theirs: Figures,
    name: str,
    limits: tuple[float, float],
    shown: Callable[[float], str],
) -> str:
    low, high = map(math.log10, limits)

    def place(number: int, value: float) -> tuple[float, float]:
        x = offset + LEFT + (math.log10(number) - 2) / 2 * WIDTH
        return x, TOP + HEIGHT * (1 - (math.log10(max(value, limits[0])) - low) / (high - low))

    parts = [f'<text x="{offset + LEFT}" y="24" font-size="14" font-weight="bold">{escape(title)}</text>']
    for power in range(math.ceil(low), math.floor(high) + 1):
        _, y = place(100, 10**power)
        parts.append(f'<path d="M{offset + LEFT} {y:.1f}h{WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{offset + LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{shown(10**power)}</text>')
    for number in (100, 1000, 10_000):
        x, _ = place(number, 1)
        parts.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{number:,}</text>')
    parts.append(
        f'<text x="{offset + LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 40}" text-anchor="middle">waiting tasks</text>'
    )
    for label, figures, colour in (("this provider", ours, OURS), ("dbt-cloud", theirs, THEIRS)):
        points = [place(number, one[name]) for number, one in sorted(figures.items())]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        x, y = points[-1]
        anchor = "end" if x > offset + LEFT + WIDTH - 60 else "start"
        parts.append(f'<text x="{x + 6:.1f}" y="{y - 9:.1f}" fill="{colour}" text-anchor="{anchor}">{label}</text>')
    return "".join(parts)
