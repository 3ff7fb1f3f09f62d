"""What the API wraps its answers in, and their decoders."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from airflow_provider_orchestration.api.models import ServerInfo

_T = TypeVar("_T")


class One(msgspec.Struct, Generic[_T]):
    """An answer that is one thing."""

    data: _T


class Many(msgspec.Struct, Generic[_T]):
    """An answer that is a list; null is an empty one."""

    data: list[_T] | None


class Cursor(msgspec.Struct, Generic[_T], rename="camel"):
    """A page of a list, and the cursor of the next one."""

    page_size: int
    has_more: bool
    data: list[_T] | None = None
    next: str = ""


class Page(msgspec.Struct, Generic[_T]):
    """An answer that is a page of a list."""

    cursor: Cursor[_T]


def _make_decoder(model: Any, wrapping: Any) -> msgspec.json.Decoder[Any]:
    if model is ServerInfo:  # the only answer that is not wrapped
        return msgspec.json.Decoder(ServerInfo)
    return msgspec.json.Decoder(wrapping[model])


decoder: Callable[[Any, Any], msgspec.json.Decoder[Any]] = cache(_make_decoder)
