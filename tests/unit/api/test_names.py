"""Names that a process remembers: for a moment, so many, and none whose stack it has changed."""

from __future__ import annotations

import time

import pytest

from airflow_provider_orchestration.api import names


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch):
    monkeypatch.setattr(names, "_known", type(names._known)())


def test_for_a_moment_from_the_beginning_of_the_look():
    now = time.monotonic()
    names.remember("stack", "payout", "w1", now - names.HOLDS + 5)
    names.remember("stack", "refund", "w2", now - names.HOLDS)
    assert names.recall("stack", "payout") == "w1"
    assert names.recall("stack", "refund") is None
    assert names.recall("other stack", "payout") is None


def test_none_of_a_stack_that_was_changed():
    for stack in ("changed", "other"):
        names.remember(stack, "payout", "w", time.monotonic())
    names.forget("changed")
    assert [names.recall(stack, "payout") for stack in ("changed", "other")] == [None, "w"]


def test_a_thousand():
    for number in range(1100):
        names.remember("stack", str(number), "w", time.monotonic())
    assert len(names._known) == 1000
    assert names.recall("stack", "1099") == "w"
