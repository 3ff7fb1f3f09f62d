"""What a run moved, for its log: a line for each posting, and the sums."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_orchestration.run.words import WIDTH

#: Postings that are told one by one.
AT_MOST = 20


def moved_lines(transactions: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """
    Yield e.g. ``moved 10.00 EUR world -> orders:42`` for the first postings, and the sum of each asset.

    :param transactions: as they stand in a result, see :func:`~.result.with_transactions`.
    """
    postings = [posting for one in transactions for posting in one["postings"]]
    for posting in postings[:AT_MOST]:
        said = f"moved {_amount(posting)}"
        ways = f"{posting.get('source')}", f"-> {posting.get('destination')}"
        if len(line := " ".join((said, *ways))) <= WIDTH:
            yield line
        else:
            yield from (said, *(f"  {way}" for way in ways))
    if len(postings) > AT_MOST:
        yield f"and {len(postings) - AT_MOST} postings more"
    if len(postings) > 1:
        yield from _sums(postings)


def _sums(postings: list[Mapping[str, Any]]) -> Iterator[str]:
    by_asset: dict[str, list[Mapping[str, Any]]] = {}
    for posting in postings:
        by_asset.setdefault(str(posting.get("asset")), []).append(posting)
    for asset, those in by_asset.items():
        exact = [int(posting["amount"]) for posting in those if posting["amount"] is not None]
        parts = [f"{money(sum(exact), asset)} (postings: {len(exact)})"] if exact else []
        if rounded := len(those) - len(exact):
            parts.append(f"what Flows rounds of {asset} (postings: {rounded})")
        yield f"moved in all {', and '.join(parts)}"


def _amount(posting: Mapping[str, Any]) -> str:
    asset = str(posting.get("asset"))
    if posting["amount"] is not None:
        return money(int(posting["amount"]), asset)
    said = posting.get("amount_rounded")
    if isinstance(said, str) and re.fullmatch(r"[0-9.e+]+", said):
        said = f"{float(said):.0f}"
    return f"about {said} of {asset} (rounded by Flows)"


def money(amount: int, asset: str) -> str:
    """Return an amount in the asset's smallest unit for a person: 1000 of ``EUR/2`` is ``10.00 EUR``."""
    parts = re.fullmatch(r"(.+)/([0-9]{1,2})", asset)
    name, digits = (parts[1], int(parts[2])) if parts else (asset, 0)
    if not digits:
        return f"{amount} {name}"
    whole, rest = divmod(abs(amount), 10**digits)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:0{digits}} {name}"
