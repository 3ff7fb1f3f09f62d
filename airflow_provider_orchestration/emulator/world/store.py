"""Keeps the state in a SQLite file, so that it outlives the process."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from airflow_provider_orchestration.emulator.world.ledger import Account, Ledger, Transaction
from airflow_provider_orchestration.emulator.world.models import Instance, Occurrence, Start, Trigger, Workflow
from airflow_provider_orchestration.emulator.world.state import State

_KINDS: tuple[type, ...] = (Workflow, Instance, Trigger, Occurrence, Start, Account, Transaction)
_TABLE = "CREATE TABLE IF NOT EXISTS things (kind TEXT, id TEXT, document TEXT, PRIMARY KEY (kind, id))"


class Store:
    """The state's file.

    :raises sqlite3.Error: the file cannot be opened, or is no SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        # What a killed process wrote is kept; only a crash of the machine may lose the last of it.
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute(_TABLE)

    def load(self, state: State) -> None:
        """Put everything back that was written down."""
        kinds = {kind.__name__: kind for kind in _KINDS}
        for kind, identity, document in self._database.execute(
            "SELECT kind, id, document FROM things ORDER BY rowid"
        ).fetchall():
            if kind == "Ledger":
                state.ledger(identity)
            elif kind in kinds:
                state.restore(msgspec.convert(json.loads(document), kinds[kind]))
        state.restored()

    def secret(self, name: str, value: bytes) -> bytes:
        """A value that stays the same over restarts; this one the first time."""
        self._database.execute("INSERT OR IGNORE INTO things VALUES ('secret', ?, ?)", (name, value.hex()))
        row = self._database.execute("SELECT document FROM things WHERE kind='secret' AND id=?", (name,)).fetchone()
        return bytes.fromhex(row[0])

    def save(self, state: State) -> None:
        """Write down what has changed."""
        if not (state.changed or state.removed or state.forgotten):
            return
        self._database.execute("BEGIN")
        if state.forgotten:
            self._database.execute("DELETE FROM things WHERE kind != 'secret'")
            state.forgotten = False
        # Updated in place: the order of the rows is the order in which the things came.
        self._database.executemany(
            "INSERT INTO things VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET document = excluded.document",
            [(type(thing).__name__, _identity(thing), _document(thing)) for thing in state.changed.values()],
        )
        self._database.executemany(
            "DELETE FROM things WHERE kind='Start' AND id=?", [(start.id,) for start in state.removed]
        )
        self._database.execute("COMMIT")
        state.changed.clear()
        state.removed.clear()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _identity(thing: Any) -> str:
    if isinstance(thing, Ledger):
        return thing.name
    if isinstance(thing, Account):
        return f"{thing.ledger}/{thing.name}"
    return f"{thing.ledger}/{thing.id}" if isinstance(thing, Transaction) else str(thing.id)


def _document(thing: Any) -> str:
    return "{}" if isinstance(thing, Ledger) else json.dumps(msgspec.to_builtins(thing))
