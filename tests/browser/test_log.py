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


def test_what_a_person_can_do_after_a_lost_submission(page, airflow, emulator, payments: Payments, pictures: Path):
    emulator.fault("run_workflow", "reset_after")
    run = payments.start("pay_waiting", workflow=WITHOUT_KEY)
    assert run.wait() == "failed"
    messages = read_log(page, airflow, run, "AirflowFailException")
    page.screenshot(path=pictures / "log-unknown.png")
    (instance,) = payments.instances(run)
    assert any(instance in message for message in messages)
    for command in ("adopt", "forget"):
        assert any(f"airflow formance {command}" in message for message in messages)
    assert {message: over for message, over in messages.items() if over} == {}


def test_what_moved(page, airflow, payments: Payments, pictures: Path):
    run, instance = payments.start_waiting()
    payments.go(instance)
    assert run.wait() == "success"
    messages = read_log(page, airflow, run, "moved 1.00 EUR")
    page.screenshot(path=pictures / "log-moved.png")
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    assert {message: over for message, over in messages.items() if over} == {}
