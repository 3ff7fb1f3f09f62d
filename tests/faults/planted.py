"""State machines that are tested themselves: with a rule broken on purpose they must find what it leads to."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import RULE_MARKER, RuleBasedStateMachine, run_state_machine_as_test

from airflow_provider_orchestration.run.submit import again, door, submission


def assert_found(machine: type[RuleBasedStateMachine], how: settings, told: str) -> None:
    """Run a machine until it finds the first thing that is wrong, and assert what it tells (a regular expression)."""
    found: list[str] = []
    how = settings(how, phases=[Phase.generate], report_multiple_bugs=False)
    # The emulator's time goes on meanwhile: a life that breaks the rule on one look may keep it on another.
    for _ in range(5):
        try:
            run_state_machine_as_test(machine, settings=how)
        except* AssertionError as group:  # in a group where it could not be shown twice
            found.extend(str(error) for error in group.exceptions)
        except* Flaky:
            pass
        if found:
            break
    assert found, "nothing was found"
    assert re.search(told, found[0]), found


def narrowed(machine: type[RuleBasedStateMachine], rules: list[str], **more: Any) -> type[RuleBasedStateMachine]:
    """Return the machine with these rules only, for with all of them a search would be long; `more` are attributes."""
    every = {name for name in dir(machine) if hasattr(getattr(machine, name), RULE_MARKER)}
    assert every.issuperset(rules), every
    return type(f"Narrow{machine.__name__}", (machine,), dict.fromkeys(every.difference(rules)) | more)


def accepts_any_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on at the method that Airflow calls, with whatever event."""
    monkeypatch.setattr(door, "why_no_resume", lambda *_: None)


def submits_when_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Submit again what may have been submitted."""

    def broken(record: Any, ask: Any, own: Any) -> again.Step:
        step = again.decide(record, ask, own)
        return again.Step.SUBMIT if step is again.Step.RECOVER else step

    monkeypatch.setattr(submission, "decide", broken)
