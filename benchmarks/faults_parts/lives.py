"""Lives of a task in which its processes die, a person clears it, or the list that it is mapped over changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.task_life import Step, TaskLife


class Killed(BaseException):
    """SIGKILL: nothing of the process goes on."""


class Cleared(BaseException):
    """The process is ended because a person has cleared its task."""


class MortalLife(TaskLife):
    """
    A task whose first process may be killed when it wants to keep what was submitted.

    :param killed: whether it is.
    :param retry_delay: seconds from then to the next try.
    """

    def __init__(
        self, make_operator: Callable[[], Any], *, killed: bool = False, retry_delay: float = 0.0, **names: Any
    ) -> None:
        super().__init__(make_operator, **names)
        self._kill = killed
        self._retry_delay = retry_delay

    def context(self) -> dict[str, Any]:
        """Return a context in which what was submitted cannot be kept, once."""
        context = super().context()
        push, write = context["ti"].xcom_push, context["task_state_store"].set

        def mortal_push(key: str, value: Any) -> None:
            self._die()
            push(key, value)

        def mortal_write(key: str, value: Any, **options: Any) -> None:
            if value.get("phase") == "submitted":
                self._die()
            write(key, value, **options)

        context["ti"].xcom_push, context["task_state_store"].set = mortal_push, mortal_write
        return context

    def execute(self) -> str:
        """Run one try; where it is killed, the next follows."""
        try:
            return super().execute()
        except Killed:
            threading.Event().wait(self._retry_delay)
            self.has_failed(final=False)
        return str(self.state)

    def _die(self) -> None:
        if self._kill:
            self._kill = False
            raise Killed


class ClearedLife(TaskLife):
    """
    A task that a person clears while its first resumed execution runs, and whose next process dies at the run's end.

    For a task to be resumed while its run is at work, the triggerer's clock is ahead: it gives up too early.

    :param deadline: the name of the trigger's attribute that holds the time at which it gives up.
    :param cleared: called when the task is cleared, to let the run fail.
    """

    def __init__(self, make_operator: Callable[[], Any], *, deadline: str, cleared: Callable[[], None]) -> None:
        super().__init__(make_operator)
        self._deadline, self._cleared = deadline, cleared
        self._was_cleared = self._has_died = False

    def run_trigger(self, trigger: Any) -> Any:
        """Run a trigger; to the first it is later than it is."""
        if not self._was_cleared:
            getattr(trigger, self._deadline)
            setattr(trigger, self._deadline, time.time())
        return super().run_trigger(trigger)

    def context(self) -> dict[str, Any]:
        """Begin a new execution; the first resumed one is cleared as it begins."""
        context = super().context()
        if self.next is not None and not self._was_cleared:
            raise Cleared
        return context

    def execute(self) -> str:
        """Run one try; after the clear, the next begins where the cleared one did, with the old event."""
        try:
            return super().execute()
        except Cleared:
            self._was_cleared = True
            self.clear(running=True)
            self._cleared()
            return self.execute()
        except Killed:
            self.has_failed(final=False)
            return str(self.state)

    def _follow(self, step: Step) -> Any:
        try:
            result = super()._follow(step)
        except Exception as error:
            self._die(error)
            raise
        self._die(None)
        return result

    def _die(self, error: Exception | None) -> None:
        if not self._has_died:
            self._has_died = True
            raise Killed from error


#: An item of the list: who is paid, and how much.
Item = tuple[str, str]
PAYEES = ("A", "B")


def map_and_reorder(operator: Callable[[Item], Any], payees: Sequence[str] = PAYEES) -> dict[str, str]:
    """
    Map a task over two payees, clear both tasks when the list has another order, and return the state for each payee.

    The first one's amount is no number, so its run fails before it moves money; the new list has it right.

    :param payees: by what each is known to the server.
    """
    first, second = payees
    items = [(first, "nonsense"), (second, "100")]
    lives = [MortalLife(lambda index=index: operator(items[index]), map_index=index) for index in range(2)]  # type: ignore[misc]
    before = [life.execute_to_end() for life in lives]
    if before != ["failed", "success"]:
        raise RuntimeError(f"before the clear the tasks were {before}")
    items[:] = [(second, "100"), (first, "100")]
    for life in lives:
        life.clear()
        life.execute_to_end()
    return {payee: str(life.state) for (payee, _), life in zip(items, lives, strict=True)}
