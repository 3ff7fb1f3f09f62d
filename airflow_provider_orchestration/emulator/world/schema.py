"""The kinds of stages and their fields, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """A field of a Go struct: its name there, its key in JSON, its type and tags."""

    name: str
    key: str
    kind: str | Struct
    default: str = ""
    required: bool = False
    pointer: bool = False
    omit_empty: bool = False
    embedded: bool = False


@dataclass(frozen=True)
class Struct:
    """A Go struct; with ``one_of``, exactly one of its fields must be set."""

    name: str
    fields: tuple[Field, ...]
    one_of: bool = False


_WALLET_REFERENCE = Struct(
    "WalletReference", (Field("ID", "id", "string"), Field("Name", "name", "string")), one_of=True
)
_WALLET = Struct(
    "WalletSource",
    (
        Field("WalletReference", "", _WALLET_REFERENCE, embedded=True),
        Field("Balance", "balance", "string", default="main", required=True),
    ),
)
_ACCOUNT = Struct(
    "LedgerAccountSource",
    (
        Field("ID", "id", "string", required=True),
        Field("Ledger", "ledger", "string", default="default", required=True),
        Field("ThroughAccount", "throughAccount", "string", default="world"),
        Field("AllowOverdraft", "allowOverdraft", "bool", default="false"),
    ),
)
_PAYMENT_SOURCE = Struct(
    "PaymentSource",
    (
        Field("ID", "id", "string", required=True),
        Field("Ledger", "ledger", "string", omit_empty=True),
        Field("HoldingAccount", "holdingAccount", "string", omit_empty=True),
        Field("ThroughAccount", "throughAccount", "string", default="world"),
        Field("AllowOverdraft", "allowOverdraft", "bool", default="false"),
    ),
)
_PAYMENT_DESTINATION = Struct(
    "PaymentDestination",
    (
        Field("PSP", "psp", "string"),
        Field("Type", "type", "string", default="TRANSFER"),
        Field("SourceAccount", "sourceAccount", "string", pointer=True, omit_empty=True),
        Field("Metadata", "metadata", "string", default="formanceAccountID"),
        Field("WaitingValidation", "waitingValidation", "bool", default="false"),
        Field("ConnectorID", "connectorId", "string", pointer=True, omit_empty=True),
    ),
)


def _end(name: str, payment: Struct) -> Struct:
    kinds = (("Wallet", _WALLET), ("Account", _ACCOUNT), ("Payment", payment))
    fields = tuple(Field(kind, kind.lower(), struct, pointer=True, omit_empty=True) for kind, struct in kinds)
    return Struct(name, fields, one_of=True)


STAGES: dict[str, Struct] = {
    "noop": Struct("NoOp", ()),
    "delay": Struct(
        "Delay",
        (
            Field("Duration", "duration", "duration", pointer=True, omit_empty=True),
            Field("Until", "until", "time", pointer=True, omit_empty=True),
        ),
        one_of=True,
    ),
    "wait_event": Struct("WaitEvent", (Field("Event", "event", "string", required=True),)),
    "update": Struct(
        "Update",
        (
            Field(
                "Account",
                "account",
                Struct(
                    "AccountUpdate",
                    (
                        Field("ID", "id", "string", required=True),
                        Field("Ledger", "ledger", "string", default="main", required=True),
                        Field("Metadata", "metadata", "map", required=True),
                    ),
                ),
                pointer=True,
                omit_empty=True,
            ),
        ),
        one_of=True,
    ),
    "send": Struct(
        "Send",
        (
            Field("Source", "source", _end("Source", _PAYMENT_SOURCE)),
            Field("Destination", "destination", _end("Destination", _PAYMENT_DESTINATION)),
            Field(
                "Amount",
                "amount",
                Struct(
                    "Monetary",
                    (Field("Amount", "amount", "integer", pointer=True), Field("Asset", "asset", "string")),
                ),
                pointer=True,
                omit_empty=True,
            ),
            Field("Metadata", "metadata", "map", omit_empty=True),
            Field("Timestamp", "timestamp", "time", pointer=True),
        ),
    ),
}
"""Stage kinds by their key in a workflow."""
