"""Types that cannot fit, in expr-lang's words."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.emulator.expr.checking import check
from airflow_provider_orchestration.emulator.expr.expressions import ExpressionError


@pytest.mark.parametrize(
    "text, message",
    [
        ('1 + "a"', 'invalid operation: + (mismatched types int and string) (1:3)\n | 1 + "a"\n | ..^'),
        ("not 1", "invalid operation: not (mismatched type int) (1:1)\n | not 1\n | ^"),
        ("!1", "invalid operation: ! (mismatched type int) (1:1)\n | !1\n | ^"),
        ('-"a"', "invalid operation: - (mismatched type string) (1:1)"),
        ("not nil", "invalid operation: not (mismatched type unknown) (1:1)"),
        ("not (1 + 1)", "invalid operation: not (mismatched type int) (1:1)"),
        ("true and 1", "invalid operation: and (mismatched types bool and int) (1:6)"),
        ("1 < true", "invalid operation: < (mismatched types int and bool) (1:3)"),
        ('1 == "a"', "invalid operation: == (mismatched types int and string) (1:3)"),
        ("1.5 % 2", "invalid operation: % (mismatched types float64 and int) (1:5)"),
        ("[1] + 1", "invalid operation: + (mismatched types []interface {} and int) (1:5)"),
        ("{a:1} + 1", "invalid operation: + (mismatched types map[string]interface {} and int) (1:7)"),
        ("event.a startsWith 1", "invalid operation: startsWith (mismatched types unknown and int) (1:9)"),
        ('1 in "abc"', "invalid operation: in (mismatched types int and string) (1:3)"),
        ('"a" not in 5', "invalid operation: in (mismatched types string and int) (1:9)"),
        ('1..2 == "a"', "invalid operation: == (mismatched types []interface {} and string)"),
        ("1 ? 2 : 3", "non-bool expression (type int) used as condition (1:1)"),
        ("len(1)", "invalid argument for len (type int) (1:1)\n | len(1)\n | ^"),
        ("len(nil)", "invalid argument for len (type %!s(<nil>)) (1:1)"),
        ("len()", "invalid number of arguments (expected 1, got 0) (1:1)"),
        ('len([1]) + "a"', "invalid operation: + (mismatched types int and string) (1:10)"),
        ("(((", "unexpected token EOF (1:3)"),
    ],
)
def test_what_cannot_fit(text, message):
    with pytest.raises(ExpressionError) as raised:
        check(text)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    "text",
    [
        "event.x + 1",
        '"a" + event.x',
        "not event",
        "event == 1",
        "nil == 1",
        "1 ?? 2",
        'true ? 1 : "a"',
        "1 / 2 > 1",
        '"a" in {a: 1}',
        "1 in [1]",
        "1 in event",
        "1 + 2.5 < 3",
        "[1] == [2]",
        'len("abc") + 1',
        "event.list | len()",
        'any(event.list, # + 1 > 2 and .name startsWith "x")',
        'upper("a") + "b"',
        "event.a ? 1 : 2",
    ],
)
def test_what_may_fit(text):
    check(text)
