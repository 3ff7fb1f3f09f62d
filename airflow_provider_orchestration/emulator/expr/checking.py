"""Finds operands whose types cannot fit, as expr-lang does when it compiles an expression.

Known are the types of literals and what operators and ``len`` make of them. Everything else (``event``, other calls,
what a predicate sees) may be of any type, and passes here where the real compiler knows more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from airflow_provider_orchestration.emulator.expr.expressions import ExpressionError, Node, locate, parse

_NIL = "unknown"
_LIST, _MAP = "[]interface {}", "map[string]interface {}"
_NUMBERS, _WHOLE, _TEXT, _TRUTH = {"int", "float64"}, {"int"}, {"string"}, {"bool"}
_LITERALS = {bool: "bool", int: "int", float: "float64", str: "string", type(None): _NIL}

# What an operator takes, one of these on both sides; and what comes of it, None for what went in.
_OPERATORS: dict[str, tuple[tuple[set[str], ...], str | None]] = {
    **dict.fromkeys(("and", "&&", "or", "||"), ((_TRUTH,), "bool")),
    **dict.fromkeys(("<", ">", "<=", ">="), ((_NUMBERS, _TEXT), "bool")),
    **dict.fromkeys(("==", "!="), ((_NUMBERS, _TEXT, _TRUTH, {_LIST}, {_MAP}), "bool")),
    **dict.fromkeys(("contains", "startsWith", "endsWith", "matches"), ((_TEXT,), "bool")),
    "+": ((_NUMBERS, _TEXT), None),
    **dict.fromkeys(("-", "*"), ((_NUMBERS,), None)),
    **dict.fromkeys(("/", "**", "^"), ((_NUMBERS,), "float64")),
    "%": ((_WHOLE,), "int"),
    "..": ((_WHOLE,), _LIST),
}


def check(text: str) -> None:
    """Compile an expression.

    :raises ExpressionError: with the place, as the server answers it.
    """
    _Types(text).of(parse(text))


def _nodes(parts: Iterable[Any]) -> Iterator[Node]:
    for part in parts:
        if isinstance(part, Node):
            yield part
        elif isinstance(part, tuple):
            yield from _nodes(part)


class _Types:
    def __init__(self, text: str) -> None:
        self.text = text

    def fail(self, message: str, node: Node) -> ExpressionError:
        return ExpressionError(locate(message, self.text, node.at))

    def of(self, node: Node) -> str | None:
        """The type of what a node gives, None if it may be any."""
        inner = [self.of(part) for part in _nodes(node.parts)]
        if node.kind == "value":
            return _LITERALS[type(node.parts[0])]
        if node.kind == "array":
            return _LIST
        if node.kind == "map":
            return _MAP
        if node.kind == "unary":
            return self.unary(node, inner[0])
        if node.kind == "binary":
            return self.binary(node, inner[0], inner[1])
        if node.kind == "conditional" and inner[0] not in (None, "bool"):
            raise self.fail(f"non-bool expression (type {inner[0]}) used as condition", next(_nodes(node.parts)))
        return self.length(node, inner) if node.kind == "call" and node.parts[0] == "len" else None

    def unary(self, node: Node, operand: str | None) -> str | None:
        sign = node.parts[0]
        fitting = _TRUTH if sign in ("not", "!") else _NUMBERS
        if operand is not None and operand not in fitting:
            raise self.fail(f"invalid operation: {sign} (mismatched type {operand})", node)
        return "bool" if sign in ("not", "!") else operand

    def binary(self, node: Node, left: str | None, right: str | None) -> str | None:
        sign = node.parts[0]
        result: str | None = "bool"
        if sign == "in":
            fits = right in (None, _LIST, _MAP)
        elif sign in _OPERATORS:
            pairs, result = _OPERATORS[sign]
            fits = any({left, right} <= {None, *pair} for pair in pairs)
            fits |= sign in ("==", "!=") and _NIL in (left, right)
        else:
            return None
        if not fits:
            shown = f"{left or _NIL} and {right or _NIL}"
            raise self.fail(f"invalid operation: {sign} (mismatched types {shown})", node)
        if result is not None or None in (left, right):
            return result
        return left if left == right else "float64"

    def length(self, node: Node, arguments: list[str | None]) -> str:
        if len(arguments) != 1:
            raise self.fail(f"invalid number of arguments (expected 1, got {len(arguments)})", node)
        if arguments[0] not in (None, "string", _LIST, _MAP):
            raise self.fail(
                f"invalid argument for len (type {'%!s(<nil>)' if arguments[0] == _NIL else arguments[0]})", node
            )
        return "int"
