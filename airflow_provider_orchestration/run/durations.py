"""Durations: what a DAG may give, and seconds as floats inside."""

from __future__ import annotations

from datetime import timedelta

#: Seconds, or a ``timedelta``, of which ``pendulum.Duration`` is one.
Duration = float | timedelta


def seconds_of(name: str, value: object) -> float:
    """
    Return a duration above 0 in seconds.

    :param name: of the argument, for the error.
    :param value: seconds, a ``timedelta`` or a ``pendulum.Duration``.
    :raises ValueError: naming the argument and the value.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise ValueError(
            f"{name} must be above 0 seconds (a number, a timedelta or a pendulum.Duration), not {value!r}"
        )
    return float(seconds)


def seconds_or_none(name: str, value: object) -> float | None:
    """Return what :func:`seconds_of` does, None for None."""
    return None if value is None else seconds_of(name, value)
