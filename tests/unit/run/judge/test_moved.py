"""What a run moved, as lines of its log."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orchestration.run.judge.moved import AT_MOST, money, moved_lines
from airflow_provider_orchestration.run.money import with_amount
from airflow_provider_orchestration.run.words import WIDTH


def posting(amount: Any = 1000, asset: str = "EUR/2", source: str = "world", to: str = "orders:42") -> dict[str, Any]:
    return with_amount({"source": source, "destination": to, "amount": amount, "asset": asset}, None)


def lines(*postings: dict[str, Any]) -> list[str]:
    return list(moved_lines([{"postings": postings[:1]}, {"postings": postings[1:]}]))


@pytest.mark.parametrize(
    ("amount", "asset", "told"),
    [
        (1000, "EUR/2", "10.00 EUR"),
        (5, "EUR/2", "0.05 EUR"),
        (0, "EUR/2", "0.00 EUR"),
        (-5, "EUR/2", "-0.05 EUR"),
        (2**70, "USD/6", "1180591620717411.303424 USD"),
        (1000, "COIN", "1000 COIN"),
        (1000, "COIN/0", "1000 COIN"),
        (7, "A/B", "7 A/B"),
    ],
)
def test_an_amount_is_told_by_its_asset(amount, asset, told):
    assert money(amount, asset) == told


def test_one_posting_is_told_without_a_sum_and_none_without_a_line():
    assert lines(posting()) == ["moved 10.00 EUR world -> orders:42"]
    assert lines() == []


def test_each_asset_has_its_sum():
    assert lines(posting(), posting(500, to="fees"), posting(3, "COIN")) == [
        "moved 10.00 EUR world -> orders:42",
        "moved 5.00 EUR world -> fees",
        "moved 3 COIN world -> orders:42",
        "moved in all 15.00 EUR (postings: 2)",
        "moved in all 3 COIN (postings: 1)",
    ]


def test_what_flows_rounds_is_told_as_such_and_is_in_no_sum():
    assert lines(posting(), posting(9.007199254740994e15)) == [
        "moved 10.00 EUR world -> orders:42",
        "moved about 9007199254740994 of EUR/2 (rounded by Flows) world -> orders:42",
        "moved in all 10.00 EUR (postings: 1), and what Flows rounds of EUR/2 (postings: 1)",
    ]
    assert lines(*[posting(2**60)] * 2)[2:] == ["moved in all what Flows rounds of EUR/2 (postings: 2)"]


def test_the_lines_are_bounded():
    told = lines(*[posting(n) for n in range(300)])
    assert told[AT_MOST:] == ["and 280 postings more", "moved in all 448.50 EUR (postings: 300)"]


def test_a_line_is_broken_before_what_is_long():
    account = "a:" * 60
    told = lines(posting(source=account, to=account))
    assert told == ["moved 10.00 EUR", f"  {account}", f"  -> {account}"]
    assert max(map(len, told)) <= WIDTH


def test_a_posting_of_an_unknown_shape_is_told_all_the_same():
    assert lines(with_amount({}, None)) == ["moved about None of None (rounded by Flows) None -> None"]
