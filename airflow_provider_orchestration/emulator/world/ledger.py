"""A double-entry ledger: accounts, balances, metadata, transactions. ``world`` may be negative, nobody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from airflow_provider_orchestration.emulator.go.golang import format_time, through_float

_ADDRESS = re.compile(r"[a-zA-Z0-9_-]+(:[a-zA-Z0-9_-]+)*")
_ASSET = re.compile(r"[A-Z][A-Z0-9]{0,16}(_[A-Z]{1,16})?(/\d{1,6})?")
_OVERDRAFT = re.compile(
    r"send \[(?P<asset>\S+) (?P<amount>\S+)\] \(\s*source = @(?P<source>\S+) allowing unbounded overdraft\s*"
    r"destination = @(?P<destination>\S+)\s*\)"
)


class LedgerError(Exception):
    """The ledger refused; ``final`` says that to try again is of no use."""

    def __init__(self, message: str, final: bool) -> None:
        super().__init__(message)
        self.final = final


class Account(msgspec.Struct):
    """What came in and went out, by asset, and what is noted."""

    ledger: str
    name: str
    volumes: dict[str, list[int]] = {}
    metadata: dict[str, str] = {}

    def volume(self, asset: str) -> dict[str, int]:
        """The account's volumes of an asset, as events show them."""
        came, went = self.volumes.get(asset, (0, 0))
        return {"balance": came - went, "input": came, "output": went}

    def balances(self) -> dict[str, int]:
        """The balance of each asset that was ever moved."""
        return {asset: came - went for asset, (came, went) in self.volumes.items()}


class Transaction(msgspec.Struct):
    """A committed transaction."""

    ledger: str
    id: int
    postings: list[dict[str, Any]]
    metadata: dict[str, str]
    timestamp: int

    def show(self) -> dict[str, Any]:
        """The transaction as the ledger's answers show it."""
        return {
            "id": self.id,
            "metadata": self.metadata,
            "postings": self.postings,
            "reverted": False,
            "timestamp": format_time(self.timestamp, 6),
        }


class Ledger:
    """One ledger.

    :param changed: is told each account and transaction that changed.
    :param publish: is told the type and the payload of each event.
    """

    def __init__(
        self, name: str, changed: Callable[[Any], None], publish: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self.name = name
        self.accounts: dict[str, Account] = {}
        self.transactions: list[Transaction] = []
        self._changed = changed
        self._publish = publish

    def account(self, name: str) -> Account:
        """The account; one that was never used has nothing."""
        return self.accounts.setdefault(name, Account(self.name, name))

    def commit(self, data: dict[str, Any], now: int) -> Transaction:
        """Move money, or nothing of it.

        :param data: ``postings`` or a ``script``, and perhaps ``metadata`` and ``timestamp``.
        :raises LedgerError: the postings are not valid, or an account has too little.
        """
        overdraft = "script" in data
        postings = _from_script(data["script"]["plain"]) if overdraft else data["postings"]
        for posting in postings:
            _check(posting)
            source, asset = posting["source"], posting["asset"]
            unlimited = overdraft or source == "world"
            if not unlimited and self.account(source).volume(asset)["balance"] < posting["amount"]:
                raise LedgerError(
                    "unexpected error while forging log: failed to execute program: failed to execute machine: "
                    f"account(s) @{source} had/have insufficient funds",
                    final=False,
                )
        before = self._volumes(postings)
        for posting in postings:
            self._move(posting)
        transaction = Transaction(
            self.name, len(self.transactions) + 1, postings, data.get("metadata") or {}, data.get("timestamp") or now
        )
        self.transactions.append(transaction)
        self._changed(transaction)
        self._publish("COMMITTED_TRANSACTIONS", self._committed(transaction, before, self._volumes(postings), now))
        return transaction

    def annotate(self, name: str, metadata: dict[str, str]) -> None:
        """Add to an account's metadata."""
        account = self.account(name)
        account.metadata.update(metadata)
        self._changed(account)
        payload = {"ledger": self.name, "metadata": metadata, "targetId": name, "targetType": "ACCOUNT"}
        self._publish("SAVED_METADATA", payload)

    def _move(self, posting: dict[str, Any]) -> None:
        for side, name in ((1, posting["source"]), (0, posting["destination"])):
            account = self.account(name)
            account.volumes.setdefault(posting["asset"], [0, 0])[side] += posting["amount"]
            self._changed(account)

    def _volumes(self, postings: list[dict[str, Any]]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for posting in postings:
            for name in (posting["source"], posting["destination"]):
                shown.setdefault(name, {})[posting["asset"]] = self.account(name).volume(posting["asset"])
        return shown

    def _committed(self, transaction: Transaction, before: Any, after: Any, now: int) -> dict[str, Any]:
        shown = transaction.show() | {
            "insertedAt": format_time(now, 6),
            "updatedAt": format_time(now, 6),
            "postCommitEffectiveVolumes": after,
            "postCommitVolumes": after,
            "preCommitEffectiveVolumes": before,
            "preCommitVolumes": before,
        }
        payload = {"accountMetadata": {}, "ledger": self.name, "transactions": [shown]}
        shown_payload: dict[str, Any] = through_float(payload)
        return shown_payload


def _check(posting: dict[str, Any]) -> None:
    if posting["amount"] is None:
        raise LedgerError("no amount defined", final=True)
    if posting["amount"] < 0:
        raise LedgerError("negative amount", final=True)
    for end in ("source", "destination"):
        if not _ADDRESS.fullmatch(posting[end]):
            raise LedgerError(f"invalid {end} address", final=True)
    if not _ASSET.fullmatch(posting["asset"]):
        raise LedgerError("invalid asset", final=True)


def _from_script(script: str) -> list[dict[str, Any]]:
    match = _OVERDRAFT.fullmatch(script)
    if match is None or not match["amount"].lstrip("-").isdigit():
        raise LedgerError("invalid script", final=True)
    found = match.groupdict()
    return [{**found, "amount": int(found["amount"])}]
