"""The recorded answers of a real server, as the models read them."""

from __future__ import annotations

import json
import re
from typing import TypeVar

import msgspec

from airflow_provider_orchestration.api.models import Activity, Instance, StageHistory
from tests.contract.exchanges import read_record

T = TypeVar("T")
_PATHS = {
    Instance: r"/instances/[^/]+",
    list[StageHistory]: r"/instances/[^/]+/history",
    list[Activity]: r"/instances/[^/]+/stages/\d+/history",
}


def recorded(kind: type[T]) -> dict[str, T]:
    """The successful answers of one kind (`Instance`, `list[StageHistory]`, `list[Activity]`), by "number case"."""
    return {
        str(exchange): msgspec.json.decode(json.dumps(exchange.response["data"]), type=kind)
        for exchange in read_record()
        if exchange.method == "GET" and exchange.status == 200 and re.fullmatch(_PATHS[kind], exchange.path)
    }
