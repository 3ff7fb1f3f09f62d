"""A real browser, Debian's Chromium, that looks at the pages of a real Airflow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
#: Where the pictures of the documentation are written; beside the test's own files where it is not set.
PICTURES = "PICTURES"
WIDTH, HEIGHT = 1280, 800


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder; without a browser they are skipped."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(300))
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip("there is no chromium here: apt-get install chromium"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # No longer than a file of tests: while Playwright runs, no test of this process can call asyncio.run.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without a sandbox: tests may be run as root, and see no page but their own Airflow's.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of 1,280 pixels."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce")
    page.set_default_timeout(30_000)
    yield page
    page.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The folder for pictures."""
    return Path(os.environ.get(PICTURES, tmp_path))
