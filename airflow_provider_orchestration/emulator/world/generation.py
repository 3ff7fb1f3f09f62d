"""The two generations of server that stacks run, and what an emulated one does differently."""

from __future__ import annotations

import enum


class Generation(enum.StrEnum):
    """
    Flows up to 2.6, or the next one.

    Measured on both, step by step: `tests/data/exchanges-two-servers.jsonl`.
    """

    V2_6 = "2.6"
    NEXT = "next"

    @property
    def is_next(self) -> bool:
        """
        Whether it is the next one.

        It cuts the lists of v1, answers 404 and 400 where 500 was, does not know deleted workflows, ends an aborted
        run, waits for the end where asked to, and finds Flows triggers by a part of their name.
        """
        return self is Generation.NEXT
