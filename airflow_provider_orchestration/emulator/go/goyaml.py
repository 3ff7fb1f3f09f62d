"""Decoding of a definition in YAML as Go's ``yaml.v3`` does it, and of its JSON after that, with the error texts.

Limits: a time that is more than a date stays text as it was written, and of what is no YAML only the usual mistakes
have Go's own words (those of PyYAML otherwise).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from airflow_provider_orchestration.emulator.go.gojson import DecodeError, Number, Object

_CONSTANTS: dict[str, Any] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_CONSTANTS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_ENDLESS = {f"{sign}.{word}" for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")} | {".nan", ".NaN", ".NAN"}
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"([-+]?)0([0-7]+)")
_DATE = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)")
_KINDS: dict[str, type] = {"int": Number, "float": Number, "bool": bool, "null": type(None)}
_STANDARD = "tag:yaml.org,2002:"
_WORDS = (  # of PyYAML, and of Go
    ("expected the node content", "did not find expected node content"),
    ("expected ',' or '}'", "did not find expected ',' or '}'"),
    ("expected ',' or ']'", "did not find expected ',' or ']'"),
    ("mapping values are not allowed here", "mapping values are not allowed in this context"),
    ("sequence entries are not allowed here", "block sequence entries are not allowed in this context"),
    (r"found character .* that cannot start any token", "found character that cannot start any token"),
    ("special characters are not allowed", "control characters are not allowed"),
)


class PanicError(Exception):
    """What YAML can say and JSON cannot: the server panics, and answers 500 without a word."""


class _Loader(yaml.SafeLoader):
    """Makes nodes only. The tag of a text without quotes is left open."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return "plain" if kind is yaml.ScalarNode and implicit[0] else ""


def parse(body: bytes) -> Object | None:
    """The first document of a body, which must be a mapping or null, as the server makes JSON of it.

    :raises DecodeError: ``EOF`` or ``yaml: …``.
    :raises PanicError: it cannot be JSON: an infinite number, or a key within that is no text.
    """
    text = body.decode("utf-8", "replace")
    try:
        loader = _Loader(text)
        node = loader.get_node() if loader.check_node() else None
    except yaml.YAMLError as problem:
        raise _error(problem, text) from None
    except RecursionError:
        raise DecodeError("yaml: exceeded max depth") from None
    if node is None:
        raise DecodeError("EOF")
    return _Reader().document(node)


def _error(problem: yaml.YAMLError, text: str) -> DecodeError:
    said = str(getattr(problem, "problem", None) or getattr(problem, "reason", None) or problem)
    said = next((words for pattern, words in _WORDS if re.match(pattern, said)), said)
    if isinstance(problem, yaml.composer.ComposerError):
        alias = re.fullmatch("found undefined alias '(.*)'", said)
        return DecodeError(f"yaml: unknown anchor '{alias[1]}' referenced" if alias else f"yaml: {said}")
    if said.startswith("expected <block end>"):
        is_list = "collection" in str(getattr(problem, "context", ""))
        said = "did not find expected " + ("'-' indicator" if is_list else "key")
    line = 0
    for mark in (getattr(problem, "context_mark", None), getattr(problem, "problem_mark", None)):
        # Go counts lines from 0 here, but for what is no word of YAML at all; the end is on a line of its own.
        line = line or (mark.line + (mark.index == len(text) and mark.column > 0) if mark else 0)
    if line and isinstance(problem, yaml.scanner.ScannerError):
        line += 1
    return DecodeError(f"yaml: line {line}: {said}" if line else f"yaml: {said}")


class _Reader:
    """Turns nodes into what JSON has; goes on after an error of a kind, as Go does, to tell all of them."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.above: set[int] = set()  # nodes that are being read: one within itself has no end

    def document(self, node: yaml.Node) -> Object | None:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = self.mapping(node, any_key=True)
        elif not isinstance(node, yaml.ScalarNode) or self.scalar(node) is not None:
            self.wrong_kind(node)
        if self.errors:
            raise DecodeError("yaml: unmarshal errors:\n  " + "\n  ".join(self.errors))
        return found

    def wrong_kind(self, node: yaml.Node) -> None:
        shown = "!!seq"
        if isinstance(node, yaml.ScalarNode):
            value = self.scalar(node)
            kind = "bool" if isinstance(value, bool) else "str"
            if isinstance(value, Number):
                kind = "int" if value.lstrip("-").isdigit() else "float"
            text = node.value if len(node.value) <= 10 else node.value[:7] + "..."
            shown = f"!!{kind} `{text}`"
        line = node.start_mark.line + 1
        self.errors.append(f"line {line}: cannot unmarshal {shown} into map[string]interface {{}}")

    def value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if id(node) in self.above:
            raise DecodeError("yaml: anchor value contains itself")
        self.above.add(id(node))
        found = self.mapping(node) if isinstance(node, yaml.MappingNode) else [self.value(item) for item in node.value]
        self.above.discard(id(node))
        return found

    def mapping(self, node: yaml.MappingNode, *, any_key: bool = False) -> Object | None:
        if self.repeats(node):
            return None
        members: dict[str, Any] = {}
        for key, item in self.members(node):
            if not isinstance(key, yaml.ScalarNode):
                raise DecodeError("yaml: invalid map key")
            name = self.scalar(key)
            if not any_key and (isinstance(name, Number) or not isinstance(name, str)):
                raise PanicError
            members[key.value] = self.value(item)
        return Object(sorted(members.items()))  # as Go writes them

    def members(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        merges = [item for key, item in node.value if _is_merge(key)]
        for item in merges:
            for merged in reversed(item.value) if isinstance(item, yaml.SequenceNode) else [item]:
                if not isinstance(merged, yaml.MappingNode):
                    raise DecodeError("yaml: map merge requires map or sequence of maps as the value")
                yield from self.members(merged)
        yield from ((key, item) for key, item in node.value if not _is_merge(key))

    def repeats(self, node: yaml.MappingNode) -> bool:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        before = len(self.errors)
        for number, key in enumerate(keys):
            for other in keys[number + 1 :]:
                if other.value == key.value:
                    lines = other.start_mark.line + 1, key.start_mark.line + 1
                    shown = json.dumps(key.value, ensure_ascii=False)
                    self.errors.append(f"line {lines[0]}: mapping key {shown} already defined at line {lines[1]}")
        return len(self.errors) > before

    def scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        if node.tag == "plain":
            return _plain(text)
        kind = node.tag.removeprefix(_STANDARD) if node.tag.startswith(_STANDARD) else ""
        if kind == "binary":
            try:
                return base64.b64decode(re.sub(r"\s", "", text), validate=True).decode("utf-8", "replace")
            except binascii.Error:
                raise DecodeError("yaml: !!binary value contains invalid base64 data") from None
        if kind in _KINDS:
            value = _plain(text)
            if not isinstance(value, _KINDS[kind]):
                raise DecodeError(f"yaml: cannot decode !!str `{text}` as a !!{kind}")
            return value
        return text


def _is_merge(key: yaml.Node) -> bool:
    return key.value == "<<" and key.tag in ("plain", f"{_STANDARD}merge")


def _plain(text: str) -> Any:
    """What a text without quotes is: null, true, a number, a date (a text, as JSON has it), or just itself."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text in _ENDLESS:
        raise PanicError
    if date := _DATE.fullmatch(text):
        try:
            return f"{dt.date(*map(int, date.groups()))}T00:00:00Z"
        except ValueError:
            return text
    if not re.match(r"[-+]?[0-9]|[-+]?\.[0-9]", text):
        return text
    digits = text if text.startswith(".") else text.replace("_", "")
    octal = _OCTAL.fullmatch(digits)
    try:
        return Number(int(f"{octal[1]}0o{octal[2]}" if octal else digits, 0))
    except ValueError:
        pass
    if _FLOAT.fullmatch(digits) and abs(float(digits)) != float("inf"):
        return Number(float(digits))
    return text
