"""What `benchmarks/soak.py` calls flat."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from benchmarks.soak_parts.judge import Sample, complaints, growth

MEGA = 2**20


def samples(minutes: float = 10.0) -> list[Sample]:
    """A run as it should be, every 10 s: it fills up at first, then stays as it is, with noise."""
    noise = random.Random(1)
    return [
        Sample(
            at=at,
            memory=(200 - 80 / (1 + at / 20)) * MEGA + noise.uniform(-1, 1) * MEGA,
            threads=60 - 40 / (1 + at / 20) + noise.randint(-1, 1),
            sockets=200 + noise.randint(-8, 8),
            hold=noise.choice([0.004, 0.006, 0.009, 0.200]),
        )
        for at in range(10, int(minutes * 60) + 1, 10)
    ]


@pytest.mark.parametrize("minutes", [10, 60])
def test_what_stays_as_it_is_is_flat(minutes):
    assert complaints(samples(minutes)) == []


@pytest.mark.parametrize(
    ("figure", "a_minute"),
    [("memory", 2 * MEGA), ("threads", 2.0), ("sockets", 6.0), ("hold", 0.003)],
)
def test_what_grows_is_found(figure, a_minute):
    leaking = [replace(one, **{figure: getattr(one, figure) + a_minute * one.at / 60}) for one in samples()]
    (complaint,) = complaints(leaking)
    assert complaint.startswith(f"{figure} grew from ")


def test_a_loop_that_is_always_held_is_found():
    held = [replace(one, hold=0.060) for one in samples()]
    assert complaints(held) == ["the event loop is held for 60 ms in a usual window"]


def test_growth_is_of_the_judged_part_and_bears_an_outlier():
    line = [Sample(float(at), 100.0 + at, 1, 1, 0.0) for at in range(10, 310, 10)]
    line[20] = replace(line[20], memory=1e9)
    assert growth(line, "memory") == pytest.approx((200.0, 400.0))
