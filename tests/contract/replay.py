"""A record of exchanges, repeated in its order against an emulator."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from tests.contract.exchanges import Exchange, Ids, MismatchError, compare

PATIENCE = 10.0  # seconds for a state that the record was taken in to come
SCOPES = "openid orchestration:read orchestration:write"


class Replay:
    """Repeats a record's requests and keeps what differs.

    :param left_out: cases that are not repeated, by number and name, with the reason.
    :param accidents: by case, keys that are not compared, because their values there were an accident.
    """

    content_types: Mapping[str, str | None] = {}

    def __init__(
        self,
        emulator: EmulatorProcess,
        record: list[Exchange],
        *,
        left_out: Mapping[str, str],
        accidents: Mapping[str, frozenset[str]],
    ) -> None:
        self.emulator = emulator
        self.record, self.left_out, self.accidents = record, left_out, accidents
        self.ids = Ids()
        self.session = requests.Session()
        self.session.trust_env = False
        self.differences: dict[str, str] = {}
        self.writer = self._token(emulator.client_id, emulator.client_secret, SCOPES)
        #: What is done before a case, as the record leaves it out.
        self.before: dict[str, Callable[[], None]] = {}

    def run(self) -> None:
        """Replay everything."""
        for exchange in self.record:
            self.before.get(str(exchange), lambda: None)()
            if str(exchange) in self.left_out:
                continue
            try:
                self._repeat(exchange)
            except MismatchError as mismatch:
                self.differences[str(exchange)] = str(mismatch)

    def _repeat(self, exchange: Exchange) -> None:
        """Make the request, again and again where that changes nothing, until the recorded state is there."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._compare(exchange, self._ask(exchange))
                return
            except MismatchError:
                harmless = exchange.method == "GET" or exchange.path.endswith("/events")
                if not harmless or time.monotonic() > deadline:
                    raise
            threading.Event().wait(0.01)

    def _ask(self, exchange: Exchange) -> requests.Response:
        headers = {"Authorization": self._authorization(exchange.case)}
        content_type = self.content_types.get(exchange.case, "application/json")
        if content_type is not None:
            headers["Content-Type"] = content_type
        is_json = exchange.request is not None and not isinstance(exchange.request, str)
        return self.session.request(
            exchange.method,
            self.emulator.flows_url + self.ids.translate(exchange.path),
            params={key: self.ids.translate(value) for key, value in (exchange.query or {}).items()},
            headers=headers,
            json=self._translate(exchange.request) if is_json else None,
            data=None if is_json else exchange.request,
            timeout=PATIENCE,
        )

    def _translate(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._translate(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._translate(item) for item in value]
        return self.ids.translate(value) if isinstance(value, str) else value

    def _compare(self, exchange: Exchange, response: requests.Response) -> None:
        if response.status_code != exchange.status:
            raise MismatchError(f"status {response.status_code} instead of {exchange.status}: {response.text[:300]}")
        if response.headers.get("Content-Type") != exchange.content_type:
            raise MismatchError(f"type {response.headers.get('Content-Type')} instead of {exchange.content_type}")
        is_json = exchange.content_type == "application/json"
        body = response.json() if is_json else response.text or None
        compare(exchange.response, body, self.ids, self.accidents.get(str(exchange), frozenset()))

    def _authorization(self, _case: str) -> str:
        return self.writer

    def _token(self, client_id: str, secret: str, scope: str) -> str:
        form = {"grant_type": "client_credentials", "scope": scope}
        answer = self.session.post(self.emulator.token_url, data=form, auth=(client_id, secret), timeout=PATIENCE)
        return f"Bearer {answer.json()['access_token']}"

    def _get(self, path: str) -> Any:
        answer = self.session.get(
            self.emulator.flows_url + path, headers={"Authorization": self.writer}, timeout=PATIENCE
        )
        return answer.json()["data"]
