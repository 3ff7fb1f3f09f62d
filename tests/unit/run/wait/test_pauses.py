"""When a stack is left alone, and what those are told who were about to ask."""

from __future__ import annotations

import time

import pytest

from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    FormanceError,
    NotFoundError,
    RateLimitedError,
    ServerTroubleError,
)
from airflow_provider_orchestration.run.wait.pauses import Pauses


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (
            RateLimitedError("get_instance (i): 429", status_code=429, retry_after=5.0),
            RateLimitedError,
            "left alone (429)",
        ),
        (AuthenticationError("get_instance (i): 401", status_code=401), AuthenticationError, "the credentials (401)"),
        (
            NotFoundError("no i", status_code=404, retry_after=5.0, instance_id="i"),
            ServerTroubleError,
            "left alone (404)",
        ),
    ],
    ids=["429", "401", "404 with Retry-After"],
)
def test_those_who_are_not_asked_for_are_told_of_the_stack_alone(error, kind, told):
    pauses = Pauses()
    pauses.check()
    pauses.failed(error)
    with pytest.raises(FormanceError) as caught:
        pauses.check()
    assert type(caught.value) is kind
    assert told in str(caught.value)
    assert "get_instance" not in str(caught.value)
    assert "it is not asked for another 5 s" in str(caught.value)


def test_a_pause_does_not_renew_itself(monkeypatch):
    pauses = Pauses()
    pauses.failed(AuthenticationError("no"))
    with pytest.raises(AuthenticationError) as caught:
        pauses.check()
    until = pauses.until
    monkeypatch.setattr(time, "monotonic", lambda: until + 1.0)
    pauses.failed(caught.value)
    assert (pauses.until, pauses.now) == (until, False)
    pauses.check()


def test_refusals_pause_ever_longer_until_one_is_accepted(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pauses, lengths = Pauses(), []
    for _ in range(6):
        pauses.failed(AuthenticationError("no"))
        lengths.append(pauses.until - now)
        now = pauses.until
    assert lengths == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    pauses.accepted()
    pauses.failed(AuthenticationError("no"))
    assert pauses.until - now == 5.0
