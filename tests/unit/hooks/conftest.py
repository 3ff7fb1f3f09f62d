from __future__ import annotations

import json
import uuid

import pytest


@pytest.fixture
def airflow_connection(monkeypatch):
    """Give Airflow a connection, as JSON in the environment; returns its id. A login of its own: tokens are shared."""

    def add(conn_id: str | None = None, **fields) -> str:
        conn_id = conn_id or f"formance_{uuid.uuid4().hex}"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "formance"} | fields))
        return conn_id

    return add


@pytest.fixture
def stack(emulator, airflow_connection):
    """A connection to the emulator; returns its id."""
    return airflow_connection(host=emulator.url, login=emulator.client_id, password=emulator.client_secret)
