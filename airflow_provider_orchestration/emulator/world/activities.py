"""What the stages ``send`` and ``update`` do: which activities they ask for, and what an activity does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_orchestration.emulator.go import golang
from airflow_provider_orchestration.emulator.world.ledger import Ledger, LedgerError

_MOVED_TO = "orchestration/move-to-ledger"
_MOVED_FROM = "orchestration/move-from-ledger"


class StageError(Exception):
    """A stage that fails without having tried anything."""


def plan(kind: str, stage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The activities of a stage, in order: ``{"name": …, "ledger": …, …}`` each.

    :raises StageError: the stage cannot be done.
    """
    if kind == "update":
        account = stage["account"]
        return [
            {
                "name": "AddAccountMetadata",
                "ledger": account["ledger"],
                "account": account["id"],
                "metadata": account["metadata"],
            }
        ]
    return _plan_send(stage)


def _plan_send(stage: Mapping[str, Any]) -> list[dict[str, Any]]:
    for end in ("source", "destination"):
        for service in ("wallet", "payment"):
            if stage[end][service] is not None:
                raise StageError(f"the emulator has no {service}s: a send's {end} must be an account")
    source, destination = stage["source"]["account"], stage["destination"]["account"]
    amount, metadata = stage["amount"], stage["metadata"] or {}
    if amount is None:
        raise StageError("amount must be specified")

    def transaction(ledger: str, start: str, end: str, more: dict[str, str], overdraft: bool = False) -> dict[str, Any]:
        posting = {"amount": amount["amount"], "asset": amount["asset"], "destination": end, "source": start}
        data: dict[str, Any] = {"postings": [posting]}
        if overdraft:
            data = {"script": {"plain": _script(posting)}}
        if metadata or more:
            data["metadata"] = {**metadata, **more}
        if stage["timestamp"] is not None:
            data["timestamp"] = stage["timestamp"]
        return {"name": "CreateTransaction", "ledger": ledger, "data": data}

    if source["ledger"] == destination["ledger"]:
        return [transaction(source["ledger"], source["id"], destination["id"], {})]
    through = destination["throughAccount"]
    return [
        transaction(
            source["ledger"],
            source["id"],
            source["throughAccount"],
            {_MOVED_TO: destination["ledger"]},
            source["allowOverdraft"],
        ),
        transaction(
            destination["ledger"],
            through,
            destination["id"],
            {_MOVED_FROM: source["ledger"]},
            destination["allowOverdraft"] and through != "world",
        ),
    ]


def _script(posting: dict[str, Any]) -> str:
    amount = "<nil>" if posting["amount"] is None else posting["amount"]
    return (
        f"send [{posting['asset']} {amount}] (\n"
        f"  source = @{posting['source']} allowing unbounded overdraft\n"
        f"  destination = @{posting['destination']}\n)"
    )


def as_input(request: Mapping[str, Any]) -> dict[str, Any]:
    """An activity's request as a stage's history shows it."""
    if request["name"] == "AddAccountMetadata":
        shown = {key: request[key] for key in ("account", "ledger", "metadata")}
    else:
        data = dict(request["data"])
        if "timestamp" in data:
            data["timestamp"] = golang.format_time(data["timestamp"], 9)
        shown = {"Data": data, "Ledger": request["ledger"]}
    result: dict[str, Any] = golang.through_float(shown)
    return result


def perform(request: Mapping[str, Any], ledgers: Mapping[str, Ledger], now: int) -> dict[str, Any] | None:
    """Do it; gives the activity's output.

    :raises LedgerError: it could not be done, perhaps not yet.
    """
    ledger = ledgers.get(request["ledger"])
    if ledger is None:
        raise LedgerError("not found", final=False)
    if request["name"] == "AddAccountMetadata":
        ledger.annotate(request["account"], request["metadata"])
        return None
    shown = golang.through_float(ledger.commit(request["data"], now).show())
    return {"data": [dict(sorted({**shown, "txid": shown["id"]}.items()))]}
