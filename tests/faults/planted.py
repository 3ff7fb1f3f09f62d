"""State machines that are tested themselves: with a rule broken on purpose they must find what it leads to."""

from __future__ import annotations

import re

from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def assert_found(machine: type[RuleBasedStateMachine], how: settings, told: str) -> None:
    """Run a machine until it finds the first thing that is wrong, and assert what it tells (a regular expression)."""
    found: list[str] = []
    try:
        run_state_machine_as_test(machine, settings=settings(how, phases=[Phase.generate], report_multiple_bugs=False))
    except* AssertionError as group:  # in a group where it could not be shown twice, as time goes on meanwhile
        found.extend(str(error) for error in group.exceptions)
    assert found, "nothing was found"
    assert re.search(told, found[0]), found
