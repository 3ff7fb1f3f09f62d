"""Reads a workflow's definition, given as a dict, as JSON or as YAML, into what is sent to Flows: always JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from airflow_provider_orchestration.exceptions import InvalidInputError


def read_definition(definition: object) -> dict[str, Any]:
    """
    Return a definition as plain data.

    :param definition: ``{"name": ..., "stages": [...]}``, either of which may be left out, or a text that holds it as
        JSON or YAML
    :raises InvalidInputError: it cannot be read, its stages are no list, or it holds what JSON or Flows cannot hold
    """
    data = _read_text(definition) if isinstance(definition, str) else definition
    if not isinstance(data, Mapping):
        raise InvalidInputError(f"the definition is a {type(data).__name__}; give a mapping with name and stages")
    try:
        plain = _check("definition", data)
    except RecursionError:
        raise InvalidInputError("the definition contains itself, or is nested too deeply") from None
    stages = plain.get("stages")
    if stages is not None and not isinstance(stages, list):
        raise InvalidInputError(f"the definition's stages are {stages!r}; give a list, each {{kind: {{...}}}}")
    return plain  # type: ignore[no-any-return]


def _read_text(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_pairs)
    except json.JSONDecodeError as error:
        problem = f"no JSON: {error}" if text.lstrip().startswith("{") else None
    except RecursionError:
        raise InvalidInputError("the definition is nested too deeply") from None
    import yaml

    try:
        return yaml.load(text, _yaml_loader())  # noqa: S506 - a SafeLoader that knows less
    except yaml.YAMLError as error:
        raise InvalidInputError(f"the definition is {problem or f'no YAML: {error}'}; correct the text") from error
    except RecursionError:
        raise InvalidInputError("the definition is nested too deeply") from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidInputError(f"the definition has the key {twice!r} twice in one place; keep one")
    return data


@cache
def _yaml_loader() -> Any:
    import yaml

    class CoreLoader(yaml.SafeLoader):
        """
        Reads the scalars of YAML 1.2's core schema.

        PyYAML's own loader follows YAML 1.1, where `on`, `no`, `12:30`, `0123` and a date are not text: an account
        named `no` would become false.
        """

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
            _pairs([(key.value, None) for key in keys])
            return super().construct_mapping(node, deep=deep)

    CoreLoader.yaml_implicit_resolvers = {}
    for kind, pattern, first in (
        ("bool", r"true|false", "tf"),
        ("null", r"~|null|", ["~", "n", ""]),
        ("int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
        ("float", r"-?(0|[1-9][0-9]*)(\.[0-9]+([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)", "-0123456789"),
        ("merge", r"<<", "<"),
    ):
        CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), list(first))
    return CoreLoader


def _check(path: str, value: Any) -> Any:
    """Return the value as plain lists and dicts of JSON; anything else is refused by its place in the definition."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InvalidInputError(f"{path} has the key {key!r}, a {type(key).__name__}; give text, in quotes")
        return {str(key): _check(f"{path}.{key}", item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_check(f"{path}[{number}]", item) for number, item in enumerate(value)]
    raise InvalidInputError(
        f"{path} is {value!r}, a {type(value).__name__}; give text or a whole number"
        " (an amount is a text of a whole number in the asset's smallest unit)"
    )
