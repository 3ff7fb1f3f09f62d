"""The settings in Airflow's configuration, and that get_provider_info describes those that are read."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.get_provider_info import get_provider_info
from airflow_provider_orchestration.run import settings


@pytest.mark.parametrize(
    ("option", "default", "given", "read"),
    [
        ("poll_interval", 10.0, "2.5", 2.5),
        ("requests_at_once", 8, "3", 3),
        ("requests_at_once", 8, "0", 1),
        ("single_reads_per_second", 20.0, "1", 1.0),
        ("stage_reads_per_second", 5.0, "0.5", 0.5),
        ("stage_reads_per_second", 5.0, "-1", 0.0),
    ],
)
def test_a_setting(monkeypatch, option, default, given, read):
    assert getattr(settings, option)() == default
    monkeypatch.setenv(f"AIRFLOW__FORMANCE__{option.upper()}", given)
    assert getattr(settings, option)() == read


def test_all_are_described_with_the_defaults_that_hold():
    options = get_provider_info()["config"][settings.SECTION]["options"]
    assert {name: float(option["default"]) for name, option in options.items()} == {
        "poll_interval": settings.poll_interval(),
        "requests_at_once": settings.requests_at_once(),
        "single_reads_per_second": settings.single_reads_per_second(),
        "stage_reads_per_second": settings.stage_reads_per_second(),
    }


@pytest.mark.parametrize("rate", ["0", "-1", "inf", "nan"])
def test_a_rate_that_is_none_is_refused(monkeypatch, rate):
    monkeypatch.setenv("AIRFLOW__FORMANCE__SINGLE_READS_PER_SECOND", rate)
    with pytest.raises(ValueError, match="single_reads_per_second of Airflow's configuration must be 1 or more"):
        settings.single_reads_per_second()
