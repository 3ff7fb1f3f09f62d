"""The expressions of Flows triggers."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.emulator.expr.evaluation import EvaluationError, LinkError, evaluate
from airflow_provider_orchestration.emulator.expr.expressions import ExpressionError, parse
from airflow_provider_orchestration.emulator.world.triggers import _as_variable

EVENT = {
    "ledger": "default",
    "amount": 100,
    "flag": True,
    "nothing": None,
    "list": [1, 2, 3],
    "transactions": [{"postings": [{"amount": 42, "asset": "EUR/2"}], "metadata": {"order id": "o-1"}}],
}


@pytest.mark.parametrize(
    "text, value",
    [
        ('event.ledger == "default"', True),
        ("event.ledger != 'other' and event.amount > 50", True),
        ("event.amount >= 100 && !(event.amount > 100)", True),
        ("not event.flag or event.amount < 1 || false", False),
        ("event.transactions[0].postings[0].amount", 42),
        ('event.transactions[0].metadata["order id"]', "o-1"),
        ("event.transactions[-1].postings[0].asset startsWith `EUR`", True),
        ('event["ledger"] endsWith "lt"', True),
        ('event.ledger contains "fau"', True),
        ('event.ledger matches "^def.*t$"', True),
        ("event.amount in [1, 100]", True),
        ('"ledger" in event', True),
        ('"x" not in event', True),
        ("event.missing ?? 'fallback'", "fallback"),
        ("event?.missing?.deeper ?? 1", 1),
        ("event.nothing == nil", True),
        ("event.flag ? 'yes' : 'no'", "yes"),
        ("event.flag ? event.nothing ? 1 : 2 : 3", None),
        ("1 + 2 * 3 - 4 / 2", 5),
        ("2 ** 3 ** 2", 512),
        ("-2 + 10 % 4", 0),
        ("'a' + 'b'", "ab"),
        ("len(event.list) + len('abc')", 6),
        ("event.list | len()", 3),
        ("any(event.list, # > 2)", True),
        ("all(event.list, {# > 2})", False),
        ("filter(event.transactions, len(.postings) == 1)[0].metadata", {"order id": "o-1"}),
        ("map(event.list, # * 2)", [2, 4, 6]),
        ("event.list[1:]", [2, 3]),
        ("1..3", [1, 2, 3]),
        ("{a: 1, 'b': event.flag}", {"a": 1, "b": True}),
        ("unknown", None),
        ("get(event, 'none') ?? ''", ""),
        ("upper(event.ledger) // a comment", "DEFAULT"),
    ],
)
def test_values(text, value):
    if value is None and "?" in text:
        with pytest.raises(EvaluationError, match="not bool"):
            evaluate(text, EVENT)
    else:
        assert evaluate(text, EVENT) == value


@pytest.mark.parametrize(
    "text, variable",
    [
        ("event.amount", "100"),
        ("event.amount / 8", "12.5"),
        ("1 + 1", "2"),
        ("event.flag", "true"),
        ("event.missing", "<nil>"),
        ("event.list", "[1 2 3]"),
        ("event.transactions[0].postings[0]", "map[amount:42 asset:EUR/2]"),
        ("event.ledger", "default"),
    ],
)
def test_values_as_variables(text, variable):
    assert _as_variable(evaluate(text, EVENT)) == variable


@pytest.mark.parametrize(
    "text, message",
    [
        ("(((", "unexpected token EOF (1:3)\n | (((\n | ..^"),
        ("1 +", "unexpected token EOF (1:3)\n | 1 +\n | ..^"),
        ("a )", 'unexpected token Bracket(")") (1:3)\n | a )\n | ..^'),
        ("a b", 'unexpected token Identifier("b") (1:3)\n | a b\n | ..^'),
        ("a == == b", 'unexpected token Operator("==") (1:6)\n | a == == b\n | .....^'),
        ("event.", "unexpected token EOF (1:6)\n | event.\n | .....^"),
        ("a @ b", "unrecognized character: U+0040 '@' (1:3)\n | a @ b\n | ..^"),
    ],
)
def test_what_cannot_be_compiled(text, message):
    with pytest.raises(ExpressionError) as raised:
        parse(text)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "text, message",
    [
        ("event.missing[0].x", "cannot fetch 0 from <nil> (1:14)"),
        ("event.missing.x", "cannot fetch x from <nil> (1:15)"),
        ("event.list[9]", "index out of range: 9 (array length is 3)"),
        ("event.ledger + 1", "invalid operation: string + int (1:14)"),
        ("event.nothing > 1", "invalid operation: <nil> > int"),
        ("event.ledger matches '('", "error parsing regexp"),
        ("nope(1)", "unknown name nope"),
        ("link(event, 1)", "second parameter must be a string"),
    ],
)
def test_what_fails_when_it_runs(text, message):
    with pytest.raises(EvaluationError) as raised:
        evaluate(text, EVENT)
    assert str(raised.value).startswith(message)


def test_a_link_that_is_not_there():
    with pytest.raises(LinkError, match=r"^link 'x' not defined for object$"):
        evaluate('link(event, "x")', EVENT)
