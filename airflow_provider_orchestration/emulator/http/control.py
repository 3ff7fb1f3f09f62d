"""The control routes under ``/_emulator``: what a test may see and do that no client of a stack can."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from airflow_provider_orchestration.emulator.http.faults import Counters, FaultError, Faults, read_fault
from airflow_provider_orchestration.emulator.http.operations import Answer
from airflow_provider_orchestration.emulator.http.routing import OPERATIONS
from airflow_provider_orchestration.emulator.world.ledger import Ledger
from airflow_provider_orchestration.emulator.world.world import World


class ControlError(ValueError):
    """A control request that makes no sense; the message says why."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Control:
    """Answers the control routes."""

    def __init__(self, world: World, faults: Faults, counters: Counters) -> None:
        self.world = world
        self.faults = faults
        self.counters = counters
        self._instances_before = 0  # how many there were when the counters were set to zero

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Answer a request; ``path`` is what follows ``/_emulator/``."""
        try:
            return _json(self._dispatch(method, path.strip("/").split("/"), _parse(body)))
        except ControlError as problem:
            return _json({"error": str(problem)}, problem.status)
        except FaultError as problem:
            return _json({"error": str(problem)}, 400)

    def _dispatch(self, method: str, parts: list[str], wish: Any) -> Any:
        for (wanted, path), handler in _ROUTES.items():
            pattern = path.split("/")
            if wanted == method and len(pattern) == len(parts):
                pairs = list(zip(pattern, parts, strict=True))
                if all(name in ("{}", part) for name, part in pairs):
                    return handler(self, *(part for name, part in pairs if name == "{}"), wish)
        raise ControlError(f"there is no control route {method} /_emulator/{'/'.join(parts)}", 404)

    def _counters(self, _: Any) -> dict[str, Any]:
        return {
            "requests": self.counters.requests,
            "tokens": self.counters.tokens,
            "connections": self.counters.connections,
            "instances": len(self.world.state.instances) - self._instances_before,
        }

    def _reset_counters(self, _: Any) -> None:
        self.counters.reset()
        self._instances_before = len(self.world.state.instances)

    def _reset(self, _: Any) -> None:
        self.faults.pending.clear()
        self.world.reset()
        self._reset_counters(_)

    def _list_faults(self, _: Any) -> dict[str, Any]:
        return {"data": [{**fault.settings, "times": fault.times} for fault in self.faults.pending]}

    def _clear_faults(self, _: Any) -> None:
        self.faults.pending.clear()
        self.world.set_worker(up=True)

    def _add_fault(self, wish: Any) -> None:
        fault = read_fault(wish, set(OPERATIONS))
        if fault.kind == "expire_tokens":
            self.world.authority.expire_all()
            return
        self.faults.pending.append(fault)
        if fault.kind == "worker_down":
            self.world.set_worker(up=False)

    def _engine(self, identity: str, wish: Any) -> None:
        instance = self.world.state.instances.get(identity)
        if instance is None:
            raise ControlError(f"there is no instance {identity}", 404)
        signals = self.world.signals
        actions = {
            "cancel": signals.cancel_in_engine,
            "terminate": signals.terminate_in_engine,
            "purge_history": signals.purge_history,
        }
        what = wish.get("engine") if isinstance(wish, dict) else None
        if what not in actions:
            raise ControlError(f"engine is {what!r}; it must be one of {', '.join(actions)}")
        actions[what](instance)

    def _runs(self, _: Any) -> dict[str, Any]:
        return {
            "data": [
                {"instance": instance.id, "workflow": instance.workflow_id, "variables": instance.variables}
                for instance in sorted(self.world.state.instances.values(), key=lambda instance: instance.created_at)
            ]
        }

    def _publish(self, wish: Any) -> None:
        if not isinstance(wish, dict) or not isinstance(wish.get("type"), str):
            raise ControlError('an event is {"type": …, "version": …, "payload": …}; type must be a text')
        for name in ("app", "version"):
            if not isinstance(wish.get(name, ""), str):
                raise ControlError(f"{name} is {wish[name]!r}; it must be a text, or left out")
        self.world.bus.publish(wish["type"], wish.get("payload"), wish.get("app", ""), wish.get("version", ""))

    def _ledger(self, name: str) -> Ledger:
        if name not in self.world.state.ledgers:
            raise ControlError(f"there is no ledger {name}", 404)
        return self.world.state.ledgers[name]

    def _make_ledger(self, name: str, _: Any) -> None:
        self.world.state.ledger(name)

    def _remove_ledger(self, name: str, _: Any) -> None:
        self.world.state.ledgers.pop(name, None)

    def _transactions(self, ledger: str, _: Any) -> dict[str, Any]:
        return {"data": [transaction.show() for transaction in self._ledger(ledger).transactions]}

    def _account(self, ledger: str, name: str, _: Any) -> dict[str, Any]:
        account = self._ledger(ledger).accounts.get(name)
        if account is None:
            return {"balances": {}, "metadata": {}}
        return {"balances": account.balances(), "metadata": account.metadata}


_ROUTES: dict[tuple[str, str], Callable[..., Any]] = {
    ("GET", "counters"): Control._counters,
    ("DELETE", "counters"): Control._reset_counters,
    ("POST", "reset"): Control._reset,
    ("GET", "faults"): Control._list_faults,
    ("POST", "faults"): Control._add_fault,
    ("DELETE", "faults"): Control._clear_faults,
    ("POST", "instances/{}"): Control._engine,
    ("GET", "runs"): Control._runs,
    ("POST", "events"): Control._publish,
    ("POST", "ledgers/{}"): Control._make_ledger,
    ("DELETE", "ledgers/{}"): Control._remove_ledger,
    ("GET", "ledgers/{}/accounts/{}"): Control._account,
    ("GET", "ledgers/{}/transactions"): Control._transactions,
}


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError as problem:
        raise ControlError(f"the body is no JSON: {problem}") from None


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(204, b"", None) if value is None else Answer(status, json.dumps(value).encode())
