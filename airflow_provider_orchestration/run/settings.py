"""The settings of this provider in Airflow's configuration, section ``[formance]`` (described in get_provider_info)."""

from __future__ import annotations

from airflow.sdk.configuration import conf

SECTION = "formance"


def poll_interval() -> float:
    """
    Return ``poll_interval`` in seconds, default 10.

    :raises ValueError: it is not above 0, or not finite: the looks would follow one another without a pause, or never.
    """
    seconds = float(conf.getfloat(SECTION, "poll_interval", fallback=10.0))
    if not 0 < seconds < float("inf"):
        raise ValueError(f"[{SECTION}] poll_interval of Airflow's configuration must be above 0 seconds, not {seconds}")
    return seconds


def requests_at_once() -> int:
    """Return ``requests_at_once``, default 8."""
    return max(1, int(conf.getint(SECTION, "requests_at_once", fallback=8)))


def single_reads_per_second() -> float:
    """
    Return ``single_reads_per_second``, default 20.

    :raises ValueError: it is below 1.
    """
    rate = float(conf.getfloat(SECTION, "single_reads_per_second", fallback=20.0))
    if not 1 <= rate < float("inf"):
        raise ValueError(
            f"[{SECTION}] single_reads_per_second of Airflow's configuration must be 1 or more, not {rate}"
        )
    return rate


def stage_reads_per_second() -> float:
    """Return ``stage_reads_per_second``, default 5."""
    return max(0.0, float(conf.getfloat(SECTION, "stage_reads_per_second", fallback=5.0)))
