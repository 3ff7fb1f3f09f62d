"""Evaluates the expressions of Flows triggers over an event."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any

from airflow_provider_orchestration.emulator.expr.expressions import PREDICATES, ExpressionError, Node, locate, parse
from airflow_provider_orchestration.emulator.go import golang


class EvaluationError(Exception):
    """An expression that failed at run time; the message is expr-lang's."""


class LinkError(EvaluationError):
    """``link`` failed: the engine behind Flows does not try it again."""


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": lambda left, right: left - right * int(left / right),
    "**": lambda left, right: float(left) ** float(right),
    "^": lambda left, right: float(left) ** float(right),
}
_TEXT: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "matches": lambda text, pattern: re.search(pattern, text) is not None,
}


def evaluate(text: str, event: Any) -> Any:
    """The value of an expression over ``event``, an event's payload.

    :raises EvaluationError: it cannot be compiled, or failed.
    """
    try:
        node = parse(text)
    except ExpressionError as error:
        raise EvaluationError(str(error)) from None
    return _Evaluation(text, {"event": _with_floats(event)}).value(node)


def _with_floats(value: Any) -> Any:
    """Every number of a JSON document is a float64 in Go."""
    if isinstance(value, dict):
        return {key: _with_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    return float(value) if golang.fits_float(value) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _type(value: Any) -> str:
    return "int" if isinstance(value, int) and not isinstance(value, bool) else golang.type_name(value)


def _equal(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


class _Evaluation:
    def __init__(self, text: str, names: dict[str, Any]) -> None:
        self.text = text
        self.names = names
        self.elements: list[Any] = []

    def fail(self, message: str, node: Node) -> EvaluationError:
        return EvaluationError(locate(message, self.text, node.at))

    def value(self, node: Node) -> Any:
        result: Any = getattr(self, f"_{node.kind}")(node)
        return result

    def _value(self, node: Node) -> Any:
        return node.parts[0]

    def _name(self, node: Node) -> Any:
        return self.names.get(node.parts[0])

    def _element(self, node: Node) -> Any:
        if not self.elements:
            raise self.fail("cannot use pointer accessor outside predicate", node)
        return self.elements[-1]

    def _array(self, node: Node) -> list[Any]:
        return [self.value(part) for part in node.parts]

    def _map(self, node: Node) -> dict[str, Any]:
        return {str(self.value(key)): self.value(item) for key, item in node.parts}

    def _conditional(self, node: Node) -> Any:
        condition, then, otherwise = node.parts
        return self.value(then if self._truth(condition) else otherwise)

    def _truth(self, node: Node) -> bool:
        value = self.value(node)
        if not isinstance(value, bool):
            raise self.fail(f"interface conversion: interface {{}} is {_type(value)}, not bool", node)
        return value

    def _member(self, node: Node) -> Any:
        target, key_node, optional = node.parts
        container, key = self.value(target), self.value(key_node)
        if container is None and optional:
            return None
        if isinstance(container, dict) and isinstance(key, str):
            return container.get(key)
        if isinstance(container, (list, str)) and _is_number(key):
            index = int(key) + (len(container) if key < 0 else 0)
            if not 0 <= index < len(container):
                raise self.fail(f"index out of range: {int(key)} (array length is {len(container)})", node)
            return container[index]
        raise self.fail(f"cannot fetch {golang.sprint(key)} from {_type(container)}", node)

    def _slice(self, node: Node) -> Any:
        container, start, end = node.parts
        value = self.value(container)
        if not isinstance(value, (list, str)):
            raise self.fail(f"cannot slice {_type(value)}", node)
        bounds = [None if bound is None else int(self.value(bound)) for bound in (start, end)]
        return value[bounds[0] : bounds[1]]

    def _unary(self, node: Node) -> Any:
        sign, operand = node.parts
        if sign in ("not", "!"):
            return not self._truth(operand)
        value = self.value(operand)
        if not _is_number(value):
            raise self.fail(f"invalid operation: {sign} {_type(value)}", node)
        return -value if sign == "-" else value

    def _binary(self, node: Node) -> Any:
        sign, left_node, right_node = node.parts
        if sign in ("and", "&&"):
            return self._truth(left_node) and self._truth(right_node)
        if sign in ("or", "||"):
            return self._truth(left_node) or self._truth(right_node)
        left = self.value(left_node)
        if sign == "??":
            return self.value(right_node) if left is None else left
        return self._operate(node, sign, left, self.value(right_node))

    def _operate(self, node: Node, sign: str, left: Any, right: Any) -> Any:
        if sign == "==":
            return _equal(left, right)
        if sign == "!=":
            return not _equal(left, right)
        if sign == "in" and (right is None or isinstance(right, (dict, list))):
            return any(_equal(left, item) for item in right or ())
        if isinstance(left, str) and isinstance(right, str):
            return self._operate_texts(node, sign, left, right)
        if _is_number(left) and _is_number(right):
            return self._operate_numbers(node, sign, left, right)
        raise self._impossible(node, left, right)

    def _impossible(self, node: Node, left: Any, right: Any) -> EvaluationError:
        return self.fail(f"invalid operation: {_type(left)} {node.parts[0]} {_type(right)}", node)

    def _operate_texts(self, node: Node, sign: str, left: str, right: str) -> Any:
        if sign in _COMPARE:
            return _COMPARE[sign](left, right)
        if sign in _TEXT:
            try:
                return _TEXT[sign](left, right)
            except re.error as error:
                raise EvaluationError(f"error parsing regexp: {error}") from None
        if sign == "+":
            return left + right
        raise self._impossible(node, left, right)

    def _operate_numbers(self, node: Node, sign: str, left: Any, right: Any) -> Any:
        if sign in _COMPARE:
            return _COMPARE[sign](left, right)
        if sign == "..":
            return list(range(int(left), int(right) + 1))
        if sign not in _ARITHMETIC:
            raise self._impossible(node, left, right)
        if right == 0 and sign == "%":
            raise self.fail("integer divide by zero", node)
        if right == 0 and sign == "/":
            return math.nan if left == 0 else math.copysign(math.inf, left)
        try:
            return _ARITHMETIC[sign](left, right)
        except OverflowError:
            return math.inf

    def _call(self, node: Node) -> Any:
        name, arguments = node.parts
        if name in PREDICATES:
            return self._predicate(node, name, arguments)
        values = [self.value(argument) for argument in arguments]
        if name == "link":
            return _link(values)
        function = _FUNCTIONS.get(name)
        if function is None:
            raise self.fail(f"unknown name {name}", node)
        try:
            return function(*values)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            raise self.fail(f"invalid argument for {name} ({error})", node) from None

    def _predicate(self, node: Node, name: str, arguments: tuple[Node, ...]) -> Any:
        items = self.value(arguments[0]) if arguments else None
        if not isinstance(items, list) or (len(arguments) != 2 and name != "count"):
            raise self.fail(f"builtin {name} takes only array (got {_type(items)})", node)
        results = []
        for item in items:
            self.elements.append(item)
            try:
                results.append(self.value(arguments[1]) if len(arguments) == 2 else item)
            finally:
                self.elements.pop()
        if name == "map":
            return results
        chosen = [item for item, result in zip(items, results, strict=True) if result is True]
        if name == "filter":
            return chosen
        if name == "find":
            return chosen[0] if chosen else None
        count = len(chosen)
        return {"all": count == len(items), "none": count == 0, "any": count > 0, "one": count == 1, "count": count}[
            name
        ]


def _link(values: list[Any]) -> Any:
    if len(values) != 2:
        raise LinkError(f"expect two arguments, got {len(values)}")
    thing, name = values
    if not isinstance(name, str):
        raise EvaluationError("second parameter must be a string")
    links = thing.get("links") if isinstance(thing, dict) else None
    found = [link for link in links or [] if isinstance(link, dict) and link.get("name") == name]
    if not found:
        raise LinkError(f"link '{name}' not defined for object")
    if len(found) > 1:
        raise LinkError(f"multiple link '{name}' found for object")
    raise LinkError(f"reading resource: {found[0].get('uri')}: the emulator follows no links")


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len,
    "string": golang.sprint,
    "int": int,
    "float": float,
    "abs": abs,
    "max": max,
    "min": min,
    "upper": lambda text: text.upper(),
    "lower": lambda text: text.lower(),
    "trim": lambda text, chars=None: text.strip(chars),
    "trimPrefix": lambda text, prefix=" ": text.removeprefix(prefix),
    "trimSuffix": lambda text, suffix=" ": text.removesuffix(suffix),
    "split": lambda text, separator: text.split(separator),
    "join": lambda parts, separator="": separator.join(parts),
    "replace": lambda text, old, new: text.replace(old, new),
    "hasPrefix": lambda text, prefix: text.startswith(prefix),
    "hasSuffix": lambda text, suffix: text.endswith(suffix),
    "get": lambda thing, key: thing.get(key) if isinstance(thing, dict) else None,
    "keys": lambda thing: list(thing.keys()),
    "values": lambda thing: list(thing.values()),
    "first": lambda items: items[0] if items else None,
    "last": lambda items: items[-1] if items else None,
    "sum": sum,
}
