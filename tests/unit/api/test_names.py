"""Names that a process remembers: for a moment, so many, and for one mapped list."""

from __future__ import annotations

import time

import pytest

from airflow_provider_orchestration.api import names


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch):
    monkeypatch.setattr(names, "_known", type(names._known)())


def test_for_a_moment_from_the_beginning_of_the_look():
    now = time.monotonic()
    names.remember("stack", "payout", "dag/run/pay", "w1", now - names.HOLDS + 5)
    names.remember("stack", "refund", "dag/run/pay", "w2", now - names.HOLDS)
    assert names.recall("stack", "payout", "dag/run/pay") == "w1"
    assert names.recall("stack", "refund", "dag/run/pay") is None


@pytest.mark.parametrize(
    "other", [("other", "payout", "list"), ("stack", "other", "list"), ("stack", "payout", "other")]
)
def test_for_one_list_only(other):
    names.remember("stack", "payout", "list", "w", time.monotonic())
    assert names.recall(*other) is None


def test_a_thousand():
    for number in range(1100):
        names.remember("stack", str(number), "list", "w", time.monotonic())
    assert len(names._known) == 1000
    assert names.recall("stack", "1099", "list") == "w"
