"""The embedded ledger."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orchestration.emulator.world.ledger import Ledger, LedgerError

NOW = 1_800_000_000_123_456_789


class Notes:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.ledger = Ledger("default", lambda _: None, lambda kind, payload: self.events.append((kind, payload)))

    def move(self, source, destination, amount, asset="EUR/2", **more):
        posting = {"amount": amount, "asset": asset, "destination": destination, "source": source}
        return self.ledger.commit({"postings": [posting], **more}, NOW)


@pytest.fixture
def notes():
    return Notes()


def test_what_goes_out_comes_in(notes):
    notes.move("world", "alice", 100)
    notes.move("alice", "bob", 30)
    balances = {name: account.balances()["EUR/2"] for name, account in notes.ledger.accounts.items()}
    assert balances == {"world": -100, "alice": 70, "bob": 30}
    assert sum(balances.values()) == 0
    assert [transaction.id for transaction in notes.ledger.transactions] == [1, 2]


def test_assets_are_apart(notes):
    notes.move("world", "alice", 100, "EUR/2")
    with pytest.raises(LedgerError, match="insufficient funds"):
        notes.move("alice", "bob", 1, "USD/2")


def test_nobody_but_the_world_has_less_than_nothing(notes):
    with pytest.raises(LedgerError) as raised:
        notes.move("poor", "bob", 1)
    assert not raised.value.final
    assert notes.ledger.account("bob").balances() == {}
    assert notes.events == []


def test_a_script_may_overdraw(notes):
    script = "send [EUR/2 5] (\n  source = @bridge allowing unbounded overdraft\n  destination = @bob\n)"
    notes.ledger.commit({"script": {"plain": script}}, NOW)
    assert notes.ledger.account("bridge").balances() == {"EUR/2": -5}


def test_a_transaction_is_told_on_the_bus(notes):
    notes.move("world", "carol", 42, metadata={"k": "v"})
    ((kind, payload),) = notes.events
    assert kind == "COMMITTED_TRANSACTIONS"
    (transaction,) = payload["transactions"]
    assert transaction["postCommitVolumes"]["carol"] == {"EUR/2": {"balance": 42, "input": 42, "output": 0}}
    assert transaction["preCommitVolumes"]["world"] == {"EUR/2": {"balance": 0, "input": 0, "output": 0}}
    assert transaction["metadata"] == {"k": "v"}
    assert payload["ledger"] == "default"


def test_metadata_is_added_to_what_is_there(notes):
    notes.ledger.annotate("alice", {"a": "1"})
    notes.ledger.annotate("alice", {"b": "2"})
    assert notes.ledger.account("alice").metadata == {"a": "1", "b": "2"}
    assert [kind for kind, _ in notes.events] == ["SAVED_METADATA"] * 2
