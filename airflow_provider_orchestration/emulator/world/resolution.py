"""How a raw stage becomes one of its kind, and what it must have then.

A stage is resolved twice: without variables when a workflow is created, with them when the stage begins. Only then is
it validated. The error texts are those of the server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_orchestration.emulator.go import golang
from airflow_provider_orchestration.emulator.world.schema import STAGES, Field, Struct

_VARIABLE = re.compile(r"\$\{[^}]+\}")
_INTEGER = re.compile(r"[+-]?[0-9]+")


class SchemaError(ValueError):
    """A stage that cannot be resolved or does not have what it must; the message is the server's."""


def check_workflow(stages: list[Any]) -> None:
    """What the server checks when a workflow is created.

    :raises SchemaError: with the text that follows ``creating workflow: ``.
    """
    for stage in stages:
        if not stage:
            raise SchemaError("empty specification")
        if len(stage) > 1:
            raise SchemaError("a specification should have only one name")
        resolve(stage, {})


def resolve(stage: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """The typed stage of a raw one, its variables filled in; a field that was not given is None.

    :raises SchemaError: ``unable to resolve …`` or ``resolving field …``.
    """
    ((name, raw),) = stage.items()
    struct = STAGES.get(name)
    if struct is None:
        raise SchemaError(f"unable to resolve schema {name}")
    return _resolve_struct(struct, raw or {}, variables)


def _resolve_struct(struct: Struct, raw: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    resolved: dict[str, Any] = {}
    for field in struct.fields:
        if field.embedded and isinstance(field.kind, Struct):
            resolved.update(_resolve_struct(field.kind, raw, variables))
            continue
        try:
            resolved[field.key] = _resolve_field(field, raw.get(field.key), variables)
        except SchemaError as error:
            raise SchemaError(f"resolving field '{field.name}': {error}") from None
    return resolved


def _resolve_field(field: Field, raw: Any, variables: Mapping[str, str]) -> Any:
    if field.pointer and raw is None:
        return None
    if isinstance(field.kind, Struct):
        if not isinstance(raw, dict):
            raise SchemaError(f"expected map but was {golang.type_name(raw)}")
        return _resolve_struct(field.kind, raw, variables)
    return _RESOLVERS[field.kind](field, raw, variables)


def _fill(text: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: variables.get(match[0][2:-1], ""), text)


def _string(field: Field, raw: Any, variables: Mapping[str, str]) -> str:
    if raw is None:
        return field.default
    if not isinstance(raw, str):
        raise SchemaError(f"expected string but was {golang.type_name(raw)}")
    return _fill(raw, variables) or field.default


def _map(_: Field, raw: Any, variables: Mapping[str, str]) -> dict[str, str] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise SchemaError(f"expecting map, got type: {golang.type_name(raw)}")
    value = Field("", "", "string")
    return {key: _string(value, item, variables) for key, item in raw.items()}


def _bool(field: Field, raw: Any, variables: Mapping[str, str]) -> bool:
    if isinstance(raw, bool):
        return raw
    if raw is not None and not isinstance(raw, str):
        raise SchemaError(f"expected uint or interpolated string but was {golang.type_name(raw)}")
    text = (field.default if raw is None else _fill(raw, variables)).lower()
    if text not in ("true", "false"):
        raise SchemaError("unable to resolve field 'bool' to bool value")
    return text == "true"


def _integer(field: Field, raw: Any, variables: Mapping[str, str]) -> int | None:
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return int(raw)
    if not isinstance(raw, str):
        raise SchemaError(f"expected big int or interpolated string but was {golang.type_name(raw)}")
    text = _fill(raw, variables)
    if not text:
        return None
    if not _INTEGER.fullmatch(text):
        raise SchemaError(f"unable to parse '{text}' as big int")
    return int(text)


def _duration(field: Field, raw: Any, variables: Mapping[str, str]) -> int:
    if not isinstance(raw, str):
        raise SchemaError(f"expected uint or interpolated string but was {golang.type_name(raw)}")
    text = _fill(raw, variables)
    try:
        return golang.parse_duration(text) if text else 0
    except ValueError:
        raise SchemaError("unable to resolve field 'Duration' to duration value") from None


def _time(field: Field, raw: Any, variables: Mapping[str, str]) -> int:
    if not isinstance(raw, str):
        raise SchemaError(f"expected string but was {golang.type_name(raw)}")
    text = _fill(raw, variables)
    try:
        return golang.parse_time(text) if text else golang.ZERO_TIME
    except ValueError:
        raise SchemaError("expected date as rfc3339 format") from None


_RESOLVERS = {"string": _string, "map": _map, "bool": _bool, "integer": _integer, "duration": _duration, "time": _time}


def validate(name: str, value: Mapping[str, Any]) -> None:
    """What a stage must have when it begins.

    :raises SchemaError: ``Key: … Error:Field validation for …``, a line each.
    """
    errors = _missing(STAGES[name], value, STAGES[name].name)
    if errors:
        raise SchemaError("\n".join(errors))


def _missing(struct: Struct, value: Mapping[str, Any], path: str) -> list[str]:
    errors: list[str] = []
    for field in struct.fields:
        item = value if field.embedded else value[field.key]
        empty = item is None if field.kind == "map" or field.pointer else item in (None, "")
        if field.required and empty:
            errors.append(_failed(path, field.name, "required"))
        elif isinstance(field.kind, Struct) and item is not None:
            errors += _missing(field.kind, item, f"{path}.{field.name}")
    if struct.one_of and sum(not _is_zero(field, value[field.key]) for field in struct.fields) != 1:
        tag = " or ".join(field.key for field in struct.fields)
        errors += [_failed(path, field.key, tag) for field in struct.fields]
    return errors


def _is_zero(field: Field, value: Any) -> bool:
    return value is None or (value == "" and not field.pointer)


def _failed(path: str, field: str, tag: str) -> str:
    return f"Key: '{path}.{field}' Error:Field validation for '{field}' failed on the '{tag}' tag"


def as_input(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """A stage as the histories show it: sorted keys, whole numbers as float64 can hold them."""
    return _struct_json(STAGES[name], value)


def _struct_json(struct: Struct, value: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for field in struct.fields:
        if field.embedded and isinstance(field.kind, Struct):
            shown.update(_struct_json(field.kind, value))
            continue
        item = value[field.key]
        if field.omit_empty and (item is None or item == {} or (item == "" and not field.pointer)):
            continue
        shown[field.key] = _field_json(field, item)
    return dict(sorted(shown.items()))


def _field_json(field: Field, item: Any) -> Any:
    if item is None:
        return None
    if isinstance(field.kind, Struct):
        return _struct_json(field.kind, item)
    if field.kind == "duration":
        return golang.format_duration(item)
    if field.kind == "time":
        return golang.format_time(item, 9)
    return golang.through_float(item)
