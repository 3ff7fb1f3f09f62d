"""Which of pytest-xdist's processes runs which tests."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

#: Folders whose tests want an Airflow: one process has one, and runs all of them.
WITH_AIRFLOW = ("tests/e2e/", "tests/browser/")


class _FilesAndOneAirflow(LoadFileScheduling):  # type: ignore[misc]
    """A file to a process, in the order of the folders, so that the slow ones with few tests do not come last."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        # Not known to old versions, which begin with the files of most tests.
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return "with Airflow" if file.startswith(WITH_AIRFLOW) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Any:
    """Return ours where files are spread."""
    return _FilesAndOneAirflow(config, log) if config.getvalue("dist") == "loadfile" else None
