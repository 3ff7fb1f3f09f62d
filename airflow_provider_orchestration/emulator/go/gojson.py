"""Decoding as Go's ``encoding/json`` does it, with its error texts.

The server decodes a body into a typed value and sends Go's error to the caller, so the texts are part of its answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_provider_orchestration.emulator.go import golang

_SPACE = " \t\r\n"
_DIGITS = "0123456789"
_HEX = "0123456789abcdefABCDEF"
_ORDINARY = re.compile(r'[^"\\\x00-\x1f]*')


class Number(str):
    """A number as it stood in the text."""

    __slots__ = ()


class Object(dict[str, Any]):
    """A JSON object. ``pairs`` are its members as they stood in the text: in order, and twice if written twice."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        self.pairs = list(pairs)
        super().__init__(self.pairs)


class DecodeError(ValueError):
    """The text is no JSON, or its value does not fit; the message is Go's."""


def _constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_constant, object_pairs_hook=Object)


def parse(body: bytes) -> Any:
    """The first JSON value of a body; what follows is ignored, as a Go decoder does. Numbers are ``Number``,
    objects ``Object``.

    :raises DecodeError: ``EOF``, ``unexpected EOF`` or ``invalid character …``.
    """
    text = body.decode("utf-8", "replace")
    start = len(text) - len(text.lstrip(_SPACE))
    try:
        value = _DECODER.raw_decode(text, start)[0]
        if isinstance(value, Number):  # Python leaves a point or an exponent without digits alone
            Scanner(text).value(start)
        return _clean(value)
    except DecodeError:
        raise
    except ValueError:
        Scanner(text).value(start)
        raise DecodeError("unexpected EOF") from None
    except RecursionError:
        raise DecodeError("exceeded max depth") from None


def _clean(value: Any) -> Any:
    """Lone halves of surrogate pairs become U+FFFD."""
    if isinstance(value, Number):
        return value
    if isinstance(value, str):
        return value if value.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, Object):
        return Object((_clean(key), _clean(item)) for key, item in value.pairs)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value


class Scanner:
    """Finds what Go's scanner would say of a text that is no JSON."""

    def __init__(self, text: str) -> None:
        self.text = text

    def value(self, at: int) -> int:
        """Scan the value at a position; gives the position after it."""
        at = self._skip(at)
        if at == len(self.text):
            raise DecodeError("unexpected EOF" if self.text.strip(_SPACE) else "EOF")
        char = self.text[at]
        if char == "{":
            return self._object(at + 1)
        if char == "[":
            return self._array(at + 1)
        if char == '"':
            return self._string(at + 1)
        for literal in ("true", "false", "null"):
            if char == literal[0]:
                return self._literal(at, literal)
        if char == "-" or char in _DIGITS:
            return self._number(at)
        raise self._bad(at, "looking for beginning of value")

    def _skip(self, at: int) -> int:
        while at < len(self.text) and self.text[at] in _SPACE:
            at += 1
        return at

    def _peek(self, at: int) -> str:
        if at >= len(self.text):
            raise DecodeError("unexpected EOF")
        return self.text[at]

    def _bad(self, at: int, context: str) -> DecodeError:
        char = self._peek(at)
        shown = {"'": r"'\''", '"': "'\"'"}.get(char) or "'" + json.dumps(char, ensure_ascii=False)[1:-1] + "'"
        if char < " " and "\\u" in shown:
            shown = f"'\\x{ord(char):02x}'"
        return DecodeError(f"invalid character {shown} {context}")

    def _object(self, at: int) -> int:
        at = self._skip(at)
        if self._peek(at) == "}":
            return at + 1
        while True:
            at = self._skip(at)
            if self._peek(at) != '"':
                raise self._bad(at, "looking for beginning of object key string")
            at = self._skip(self._string(at + 1))
            if self._peek(at) != ":":
                raise self._bad(at, "after object key")
            at = self._skip(self.value(at + 1))
            if self._peek(at) == "}":
                return at + 1
            if self.text[at] != ",":
                raise self._bad(at, "after object key:value pair")
            at += 1

    def _array(self, at: int) -> int:
        at = self._skip(at)
        if self._peek(at) == "]":
            return at + 1
        while True:
            at = self._skip(self.value(at))
            if self._peek(at) == "]":
                return at + 1
            if self.text[at] != ",":
                raise self._bad(at, "after array element")
            at += 1

    def _string(self, at: int) -> int:
        while True:
            match = _ORDINARY.match(self.text, at)
            at = match.end() if match else at
            char = self._peek(at)
            if char == '"':
                return at + 1
            if char != "\\":
                raise self._bad(at, "in string literal")
            at += 1
            if self._peek(at) == "u":
                for _ in range(4):
                    at += 1
                    if self._peek(at) not in _HEX:
                        raise self._bad(at, r"in \u hexadecimal character escape")
            elif self.text[at] not in 'bfnrt\\/"':
                raise self._bad(at, "in string escape code")
            at += 1

    def _literal(self, at: int, literal: str) -> int:
        for offset, expected in enumerate(literal):
            if self._peek(at + offset) != expected:
                raise self._bad(at + offset, f"in literal {literal} (expecting '{expected}')")
        return at + len(literal)

    def _number(self, at: int) -> int:
        if self.text[at] == "-":
            at += 1
            if self._peek(at) not in _DIGITS:
                raise self._bad(at, "in numeric literal")
        at = at + 1 if self.text[at] == "0" else self._digits(at)
        if self.text[at : at + 1] == ".":
            at = self._some_digits(at + 1, "after decimal point in numeric literal")
        if self.text[at : at + 1] in ("e", "E"):
            at += 1
            if self.text[at : at + 1] in ("+", "-"):
                at += 1
            at = self._some_digits(at, "in exponent of numeric literal")
        return at

    def _digits(self, at: int) -> int:
        while self.text[at : at + 1] and self.text[at] in _DIGITS:
            at += 1
        return at

    def _some_digits(self, at: int, context: str) -> int:
        if self._peek(at) not in _DIGITS:
            raise self._bad(at, context)
        return self._digits(at)


class Fit:
    """Fits a parsed value into Go types; goes on after a misfit and keeps the first, as Go does."""

    def __init__(self) -> None:
        self.error: str | None = None

    def check(self) -> None:
        """
        :raises DecodeError: something did not fit.
        """
        if self.error is not None:
            raise DecodeError(self.error)

    def misfit(self, value: Any, target: str, field: str | None = None) -> None:
        """Note that a value does not fit a Go type, in a struct's field or as a whole."""
        if self.error is None:
            place = f"Go struct field {field}" if field else "Go value"
            self.error = f"json: cannot unmarshal {_kind(value)} into {place} of type {target}"

    def struct(self, value: Any, type_name: str, fields: Mapping[str, Callable[[Any, str], Any]]) -> dict[str, Any]:
        """The members of an object by the names of a struct's fields, found without regard to case.

        :param fields: fits the value of a field, of which it is told the name; called in the order of the text.
        """
        found: dict[str, Any] = {}
        if value is None:
            return found
        if not isinstance(value, Object):
            self.misfit(value, type_name)
            return found
        by_fold = {name.casefold(): name for name in fields}
        for key, item in value.pairs:
            name = key if key in fields else by_fold.get(key.casefold())
            if name is not None and item is not None:
                found[name] = fields[name](item, f"{type_name.rpartition('.')[2]}.{name}")
        return found

    def string(self, value: Any, field: str | None = None) -> str:
        """A Go string; ``null`` leaves it empty."""
        if value is None:
            return ""
        if isinstance(value, Number) or not isinstance(value, str):
            self.misfit(value, "string", field)
            return ""
        return value

    def string_map(self, value: Any, field: str | None = None) -> dict[str, str]:
        """A Go ``map[string]string``."""
        if value is None:
            return {}
        if not isinstance(value, Object):
            self.misfit(value, "map[string]string", field)
            return {}
        return {key: self.string(item, field) for key, item in value.pairs}

    def anything_map(self, value: Any, field: str | None = None) -> dict[str, Any] | None:
        """A Go ``map[string]any``, its keys sorted as they are when it is written."""
        if value is None:
            return None
        if not isinstance(value, Object):
            self.misfit(value, "map[string]interface {}", field)
            return None
        return dict(sorted({key: self.anything(item, field) for key, item in value.pairs}.items()))

    def anything(self, value: Any, field: str | None = None) -> Any:
        """A Go ``any``: numbers become float64."""
        if isinstance(value, Number):
            as_float = float(value)
            if as_float in (float("inf"), float("-inf")):
                self.misfit(value, "float64", field)
                return None
            return golang.number(as_float)
        if isinstance(value, Object):
            return self.anything_map(value, field)
        if isinstance(value, list):
            return [self.anything(item, field) for item in value]
        return value


def _kind(value: Any) -> str:
    if isinstance(value, Number):
        return "number"
    return {str: "string", bool: "bool", Object: "object", list: "array"}[type(value)]
