"""End-to-end tests; what they share is in tests/support/airflow_fixtures.py."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder, so that `-m "not e2e"` leaves them out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            # The first one pays for the start of Airflow.
            item.add_marker(pytest.mark.timeout(300))
