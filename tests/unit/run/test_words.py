"""Words for people."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.run.words import in_words, listed, tell, wrapped


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.3, "0.3 s"), (1, "1 second"), (90.5, "1 minute 30 seconds"), (7200, "2 hours"), (90000, "1 day 1 hour")],
)
def test_words_for_people(seconds, words):
    assert in_words(seconds) == words


def test_names_in_a_row():
    assert listed([]) == "none"
    assert listed(["a", "b"]) == "a, b"
    assert listed(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert listed("abc", 2) == "a, b and 1 more"


def test_what_a_server_says_is_told_in_lines_that_are_seen_without_scrolling():
    said: list[str] = []
    tell(lambda form, line: said.append(form % line), f"it answered: {'100 % of it, ' * 40}")
    assert len(said) > 1
    assert max(map(len, said)) <= 150
    assert all(line.startswith("  ") for line in said[1:])
    # An id or a key is never cut.
    assert wrapped("x" * 400) == ["x" * 400]
