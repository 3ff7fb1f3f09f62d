"""Words for people."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.run.words import in_words, listed


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
