"""What makes the faults' tests quick: pauses made for people and real servers, shortened."""

from __future__ import annotations

import dataclasses
import pkgutil
from typing import Any

from airflow_provider_orchestration.hooks import connection


def _settings(conn: Any) -> Any:
    return dataclasses.replace(connection.settings_from_connection(conn), first_pause=0.02)


#: The full name of each, and its value.
QUICK: dict[str, Any] = {
    "airflow_provider_orchestration.hooks.orchestration.settings_from_connection": _settings,
    "airflow_provider_orchestration.run.judge.death.PROBE_PAUSE": 0.2,
    "airflow_provider_orchestration.run.wait.watch.Watch.FIRST_HISTORY": 0.1,
    "airflow_provider_orchestration.run.wait.watch.Watch.DEATH_PAUSE": 0.2,
}


def make_quick(**more: Any) -> None:
    """Shorten them in this process, for good; `more` are further ones by the same names, dots as double underscores."""
    for target, value in (QUICK | {name.replace("__", "."): value for name, value in more.items()}).items():
        owner, _, name = target.rpartition(".")
        setattr(pkgutil.resolve_name(owner), name, value)
