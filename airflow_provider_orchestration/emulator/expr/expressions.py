"""Parses the expressions of Flows triggers: the part of expr-lang that filters and variables need.

Values, members (``a.b``, ``a?.b``, ``a["b"]``, ``a[0]``, slices), calls, arithmetic, comparison, boolean operators,
``in``, ``contains``, ``startsWith``, ``endsWith``, ``matches``, ``??``, ranges, pipes, ternaries, arrays, maps, and
predicates (``any(list, .amount > 5)``, ``filter(list, {# > 1})``).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

BINARY = {"|": 0, "or": 10, "||": 10, "and": 15, "&&": 15, "..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60}
BINARY |= dict.fromkeys(("==", "!=", "<", ">", "<=", ">="), 20)
BINARY |= dict.fromkeys(("in", "matches", "contains", "startsWith", "endsWith"), 20)
BINARY |= {"**": 100, "^": 100, "??": 500}
_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_WORDS = {"or", "and", "in", "not", "matches", "contains", "startsWith", "endsWith"}
_LITERALS = {"true": True, "false": False, "nil": None}
PREDICATES = {"all", "none", "any", "one", "filter", "map", "count", "find"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}

_TOKEN = re.compile(
    r"(?P<Space>\s+|//[^\n]*|/\*.*?\*/)"
    r"|(?P<Number>0[xX][0-9a-fA-F]+|\d[\d_]*(?:\.(?!\.)\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<Identifier>[A-Za-z_$][A-Za-z0-9_$]*)"
    r"|(?P<String>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)"
    r"|(?P<Bracket>[()\[\]{}])"
    r"|(?P<Operator>\?\.|\?\?|\*\*|\.\.|&&|\|\||==|!=|<=|>=|[-+*/%^<>!?:,.;|#])",
    re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """A word of an expression; ``value`` of a string is without its quotes."""

    kind: str
    value: str
    at: int

    def __str__(self) -> str:
        return f"{self.kind}({json.dumps(self.value, ensure_ascii=False)})" if self.value else self.kind


@dataclass(frozen=True)
class Node:
    """A part of an expression: what it is, its parts, and where it stands."""

    kind: str
    parts: tuple[Any, ...]
    at: int


class ExpressionError(ValueError):
    """An expression that cannot be compiled; the message is expr-lang's."""


def locate(message: str, text: str, at: int) -> str:
    """A message with line and column, and a mark under the place."""
    line_start = text.rfind("\n", 0, max(at, 0)) + 1
    line = text[line_start:].split("\n", 1)[0].replace("\t", " ")
    column = at - line_start
    mark = f"\n | {'.' * column}^" if line[: column + 1].isascii() else ""
    return f"{message} ({text.count(chr(10), 0, max(at, 0)) + 1}:{column + 1})\n | {line}{mark}"


@lru_cache(maxsize=1000)
def parse(text: str) -> Node:
    """The tree of an expression.

    :raises ExpressionError: with the place, as the server answers it.
    """
    parser = _Parser(text)
    node = parser.expression(0)
    if parser.current.kind != "EOF":
        raise parser.unexpected()
    return node


def _tokens(text: str) -> list[Token]:
    tokens = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            if text[at] in "\"'`":
                raise ExpressionError(locate("literal not terminated", text, len(text)))
            raise ExpressionError(locate(f"unrecognized character: U+{ord(text[at]):04X} '{text[at]}'", text, at))
        kind, value = str(match.lastgroup), match[0]
        if kind == "String":
            value = value[1:-1] if value[0] == "`" else _unescape(value[1:-1])
        if kind == "Identifier" and value in _WORDS:
            kind = "Operator"
        if kind != "Space":
            tokens.append(Token(kind, value, at))
        at = match.end()
    return [*tokens, Token("EOF", "", len(text) - 1)]


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPES.get(code, code)

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", one, text, flags=re.DOTALL)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.position = 0

    @property
    def current(self) -> Token:
        return self.tokens[self.position]

    def unexpected(self) -> ExpressionError:
        return ExpressionError(locate(f"unexpected token {self.current}", self.text, self.current.at))

    def is_(self, *values: str) -> bool:
        return self.current.kind in ("Operator", "Bracket") and self.current.value in values

    def take(self) -> Token:
        token = self.current
        self.position += token.kind != "EOF"
        return token

    def expect(self, value: str) -> Token:
        if not self.is_(value):
            raise self.unexpected()
        return self.take()

    def expression(self, lowest: int) -> Node:
        left = self.unary()
        while self.current.kind == "Operator":
            token, negated = self.current, False
            if token.value == "not" and self.tokens[self.position + 1].value == "in":
                token, negated = self.tokens[self.position + 1], True
            strength = BINARY.get(token.value, -1)
            if strength < lowest:
                break
            self.position += 1 + negated
            if token.value == "|":
                left = self.pipe(left)
                continue
            right = self.expression(strength if token.value in ("**", "^") else strength + 1)
            left = Node("binary", (token.value, left, right), token.at)
            if negated:
                left = Node("unary", ("not", left), token.at)
        return self.conditional(left) if lowest == 0 else left

    def conditional(self, condition: Node) -> Node:
        while self.is_("?"):
            at = self.take().at
            if self.is_(":"):  # a ?: b
                self.take()
                condition = Node("conditional", (condition, condition, self.expression(0)), at)
                continue
            then = self.expression(0)
            self.expect(":")
            condition = Node("conditional", (condition, then, self.expression(0)), at)
        return condition

    def pipe(self, first: Node) -> Node:
        if self.current.kind != "Identifier":
            raise self.unexpected()
        name = self.take()
        return self.postfix(Node("call", (name.value, (first, *self.arguments(name.value))), name.at))

    def unary(self) -> Node:
        token = self.current
        if token.kind == "Operator" and token.value in _UNARY:
            self.take()
            return self.postfix(Node("unary", (token.value, self.expression(_UNARY[token.value])), token.at))
        if self.is_("("):
            self.take()
            inside = self.expression(0)
            self.expect(")")
            return self.postfix(inside)
        if self.is_("#"):
            self.take()
            return self.postfix(Node("element", (), token.at))
        if self.is_("."):
            return self.postfix(Node("element", (), token.at))
        return self.postfix(self.primary())

    def primary(self) -> Node:
        token = self.take()
        if token.kind == "String":
            return Node("value", (token.value,), token.at)
        if token.kind == "Number":
            return Node("value", (_number(token.value),), token.at)
        if token.kind == "Identifier":
            if token.value in _LITERALS:
                return Node("value", (_LITERALS[token.value],), token.at)
            if self.is_("("):
                return Node("call", (token.value, self.arguments(token.value)), token.at)
            return Node("name", (token.value,), token.at)
        if token.kind == "Bracket" and token.value == "[":
            return Node("array", self.items("]"), token.at)
        if token.kind == "Bracket" and token.value == "{":
            return Node("map", self.pairs(), token.at)
        self.position = self.tokens.index(token)
        raise self.unexpected()

    def arguments(self, function: str) -> tuple[Node, ...]:
        self.expect("(")
        return self.items(")", braces=function in PREDICATES)

    def items(self, end: str, braces: bool = False) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self.is_(end):
            if found:
                self.expect(",")
                if self.is_(end):
                    break
            if braces and found and self.is_("{"):
                self.take()
                found.append(self.expression(0))
                self.expect("}")
            else:
                found.append(self.expression(0))
        self.expect(end)
        return tuple(found)

    def pairs(self) -> tuple[tuple[Node, Node], ...]:
        found: list[tuple[Node, Node]] = []
        while not self.is_("}"):
            if found:
                self.expect(",")
                if self.is_("}"):
                    break
            token = self.current
            if token.kind in ("Identifier", "String", "Number"):
                key = Node("value", (self.take().value,), token.at)
            else:
                self.expect("(")
                key = self.expression(0)
                self.expect(")")
            self.expect(":")
            found.append((key, self.expression(0)))
        self.expect("}")
        return tuple(found)

    def postfix(self, node: Node) -> Node:
        while self.is_(".", "?.", "["):
            token = self.take()
            if token.value == "[" or (token.value == "?." and self.is_("[")):
                if token.value == "?.":
                    self.take()
                node = self.index(node, token)
                continue
            name = self.take()
            if name.kind not in ("Identifier", "Operator") or not name.value.isidentifier():
                self.position -= name.kind != "EOF"
                raise self.unexpected()
            node = Node("member", (node, Node("value", (name.value,), name.at), token.value == "?."), name.at)
        return node

    def index(self, node: Node, token: Token) -> Node:
        optional = token.value == "?."
        start = None if self.is_(":") else self.expression(0)
        if self.is_(":"):
            self.take()
            end = None if self.is_("]") else self.expression(0)
            self.expect("]")
            return Node("slice", (node, start, end), token.at)
        self.expect("]")
        return Node("member", (node, start, optional), token.at)


def _number(text: str) -> int | float:
    text = text.replace("_", "")
    if text[:2].lower() == "0x":
        return int(text, 16)
    return float(text) if re.search(r"[.eE]", text) else int(text)
