"""What a person reads of a run in Airflow's log view, on a screen of 1,280 pixels, without scrolling sideways."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.airflow_runs import Run
from tests.support.payments import PAID_IN, PAID_OUT, TWO_PAYMENTS, Payments
from tools.airflow_stack import AirflowStack

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: The same payments without the run key: a submission whose answer is lost cannot be found again.
WITHOUT_KEY: dict[str, Any] = copy.deepcopy(TWO_PAYMENTS) | {"name": "payments_without_key"}
for _stage in WITHOUT_KEY["stages"]:
    _stage.get("send", {}).pop("metadata", None)

#: Each message and each exception of the log, and how many pixels of it lie beyond the right edge of the view.
MESSAGES = """
(view) => {
  const edge = view.getBoundingClientRect().right;
  return [...view.querySelectorAll(".event > code, summary > span")].map((message) => {
    const text = document.createRange();
    text.selectNodeContents(message);
    return [message.textContent, Math.max(0, Math.round(text.getBoundingClientRect().right - edge))];
  });
}
"""


def read_log(page: Page, airflow: AirflowStack, run: Run, words: str) -> dict[str, int]:
    """Open the log of the task `pay` and return its messages, once these words are there, with what is cut off."""
    page.goto(f"{airflow.url}/dags/{run.dag_id}/runs/{run.run_id}/tasks/pay?try_number=1")
    page.locator("[data-testid^=virtualized-item]").filter(has_text=words).first.wait_for()
    messages = dict(page.get_by_test_id("virtual-scroll-container").evaluate(MESSAGES))
    assert messages
    return messages


def cut_off(messages: dict[str, int], run: Run) -> list[str]:
    """Return what is cut off, but for the run key and the commands, which cannot be broken."""
    whole = (f"{run.dag_id}/{run.run_id}/", "airflow formance ")
    return [message for message, over in messages.items() if over and not message.startswith(whole)]


def test_what_a_person_can_do_after_a_lost_submission(page, airflow, emulator, payments: Payments, pictures: Path):
    emulator.fault("run_workflow", "reset_after")
    run = payments.start("pay_waiting", workflow=WITHOUT_KEY)
    assert run.wait() == "failed"
    messages = read_log(page, airflow, run, "AirflowFailException")
    (instance,) = payments.instances(run)
    for command in (
        f"adopt {run.dag_id} {run.run_id} pay --instance-id {instance}",
        f"forget {run.dag_id} {run.run_id} pay",
    ):
        assert f"airflow formance {command}" in messages
    # What a person needs most is seen beside the list of runs, and all of it where the log has the page to itself.
    texts = list(messages)
    needed = dict(
        list(messages.items())[texts.index(next(text for text in texts if "may have been submitted" in text)) :]
    )
    assert cut_off(needed, run) == []
    page.get_by_label("Press f for fullscreen").click()
    assert cut_off(dict(page.get_by_test_id("virtual-scroll-container").last.evaluate(MESSAGES)), run) == []
    # For the picture: the page is there whole after half a second, and the traceback tells nothing.
    page.wait_for_timeout(1_000)
    page.get_by_text("AirflowFailException").last.click()
    page.screenshot(path=pictures / "log-unknown.png")


def test_what_moved(page, airflow, payments: Payments, pictures: Path):
    run, instance = payments.start_waiting()
    payments.go(instance)
    assert run.wait() == "success"
    messages = read_log(page, airflow, run, "moved 1.00 EUR")
    page.screenshot(path=pictures / "log-moved.png")
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    told = {text: over for text, over in messages.items() if text.startswith(("stage ", "moved "))}
    assert "moved in all 2.00 EUR (postings: 2)" in told
    assert cut_off(told, run) == []
