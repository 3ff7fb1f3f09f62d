"""The generations of Flows that a test runs on."""

from __future__ import annotations

import pytest

on_next = pytest.mark.parametrize("flows_server", ["next"], indirect=True)
on_both = pytest.mark.parametrize("flows_server", ["2.6", "next"], indirect=True)
