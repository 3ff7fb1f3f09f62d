"""Durations: what a DAG may give, seconds as floats inside, words for people."""

from __future__ import annotations

from datetime import timedelta

#: Seconds, or a ``timedelta``, of which ``pendulum.Duration`` is one.
Duration = float | timedelta


def seconds_of(name: str, value: object, *, optional: bool = True) -> float | None:
    """
    Return a duration above 0 in seconds; None only where it is optional.

    :param name: of the argument, for the error.
    :param value: seconds, a ``timedelta`` or a ``pendulum.Duration``.
    :raises ValueError: naming the argument and the value.
    """
    if value is None and optional:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        or_none = ", or None" if optional else ""
        raise ValueError(
            f"{name} must be above 0 seconds (a number, a timedelta or a pendulum.Duration{or_none}), not {value!r}"
        )
    return float(seconds)


def in_words(seconds: float) -> str:
    """Return seconds for a person, e.g. ``1 hour 30 minutes``."""
    import pendulum

    return pendulum.duration(seconds=seconds).in_words(locale="en")
