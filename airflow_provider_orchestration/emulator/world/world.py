"""The parts of an emulated stack, put together."""

from __future__ import annotations

import asyncio
from pathlib import Path

from airflow_provider_orchestration.emulator.go import golang
from airflow_provider_orchestration.emulator.world.auth import Authority
from airflow_provider_orchestration.emulator.world.engine import Engine, Pace
from airflow_provider_orchestration.emulator.world.generation import Generation
from airflow_provider_orchestration.emulator.world.signals import Signals
from airflow_provider_orchestration.emulator.world.state import State
from airflow_provider_orchestration.emulator.world.store import Store
from airflow_provider_orchestration.emulator.world.timers import Timers
from airflow_provider_orchestration.emulator.world.triggers import Bus


class World:
    """State, engine, bus and file of one stack.

    :param abort: ``ignore`` or ``honour``, what an abort does; None is as the generation has it.
    :param file: where the state is kept; in memory only if None.
    :param generation: which server it is.
    """

    def __init__(
        self,
        authority: Authority,
        pace: Pace,
        abort: str | None = None,
        file: Path | None = None,
        generation: Generation = Generation.V2_6,
    ) -> None:
        self.authority = authority
        self.generation = generation
        self.state = State()
        self.timers = Timers(golang.now_ns)
        self.engine = Engine(self.state, self.timers, pace)
        self.signals = Signals(self.engine, abort or ("next" if generation.is_next else "ignore"))
        self.bus = Bus(self.engine)
        self.store = Store(file) if file is not None else None
        self._alarm: asyncio.TimerHandle | None = None
        if self.store is not None:
            self.store.load(self.state)
            authority.key = self.store.secret("token key", authority.key)
            self.engine.resume()

    def start(self) -> None:
        """Let time pass, in the event loop that runs."""
        self.timers.wake = self._set_alarm
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        due = self.timers.next()
        if due is not None:
            seconds = max(0.0, (due - self.timers.clock()) / golang.NANOSECONDS)
            self._alarm = asyncio.get_running_loop().call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        wake, self.timers.wake = self.timers.wake, lambda: None
        try:
            self.timers.run_due()
            self.save()
        finally:  # a job that fails is no reason for the others to stop
            self.timers.wake = wake
            self._set_alarm()

    def set_worker(self, up: bool) -> None:
        """With the worker down, nothing moves in the engine; what was asked for meanwhile is done afterwards."""
        self.timers.paused = not up
        self._set_alarm()

    def save(self) -> None:
        """Write down what has changed, if there is a file."""
        if self.store is not None:
            self.store.save(self.state)
        else:
            self.state.changed.clear()
            self.state.removed.clear()

    def reset(self) -> None:
        """Forget everything."""
        self.timers.clear()
        self.engine.on_begun.clear()
        self.state.clear()
        self.authority.expire_all()
        self.set_worker(up=True)
        self.save()

    def close(self) -> None:
        """Write down the rest."""
        self.save()
        if self.store is not None:
            self.store.close()
