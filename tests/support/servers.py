"""The generations of Flows that a test runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_orchestration.emulator.testing import EmulatorProcess

on_next = pytest.mark.parametrize("flows_server", ["next"], indirect=True)
on_both = pytest.mark.parametrize("flows_server", ["2.6", "next"], indirect=True)


@contextmanager
def both_servers(*options: str) -> Iterator[dict[str, EmulatorProcess]]:
    """Run an emulator of each generation, by its name."""
    with EmulatorProcess(*options) as today, EmulatorProcess(*options, server="next") as coming:
        yield {"2.6": today, "next": coming}
