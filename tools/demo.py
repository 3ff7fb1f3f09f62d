"""`make demo`: a payout that waits for an approval, run by a real Airflow, told stage by stage while it goes."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from airflow_provider_orchestration.api.client import FlowsClient
from airflow_provider_orchestration.api.settings import ClientSettings
from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from airflow_provider_orchestration.run.wait.progress import Progress
from tools.airflow_api import RUN_ENDED, wait_until
from tools.playground import Playground, PlaygroundError, open_playground, run_main
from tools.steps import Steps

DAG = "payout_with_approval"
TASK = "pay"
CONF = {"order": "1234", "payee": "users:alice", "amount": 1000}
LEDGER = "default"
# The accounts between which the DAG's workflow moves money with this configuration.
ACCOUNTS = ("world", f"orders:{CONF['order']}", str(CONF["payee"]))
TIMEOUT = 180.0

Balances = dict[str, dict[str, int]]


@dataclass
class Story:
    """What was told already, so that each change of a task and of a stage is told once."""

    steps: Steps
    began: float = field(default_factory=time.monotonic)
    _states: dict[str, str | None] = field(default_factory=dict)
    _stages: dict[str, Progress] = field(default_factory=dict)

    def tasks(self, states: dict[str, str | None]) -> None:
        """Tell the tasks whose state changed."""
        for task_id, state in states.items():
            if state is not None and self._states.get(task_id) != state:
                self._states[task_id] = state
                self._tell("Airflow", f"task [bold]{escape(task_id)}[/] is {_coloured(state)}")

    def stages(self, flows: FlowsClient, instance_ids: list[str]) -> None:
        """Tell the stages of these instances that began or ended."""
        for instance_id in instance_ids:
            if instance_id not in self._stages:
                self._stages[instance_id] = Progress()
                self._tell("Flows", f"instance {instance_id} began")
            for line in self._stages[instance_id].lines(flows.get_instance(instance_id)):
                self._tell("Flows", escape(line))

    def _tell(self, who: str, what: str) -> None:
        self.steps.tell(f"[dim]{time.monotonic() - self.began:5.1f} s[/]  {who:<8} {what}")


def main(console: Console) -> None:
    """Run the DAG once and tell its story."""
    console.print(
        Panel(
            "A payout in three stages: pay in, wait for an approval, pay out. Airflow runs it in Formance Flows (here: "
            "its emulator), watches it without holding a worker, and sends the approval from a second task.",
            title="airflow-provider-orchestration",
        )
    )
    with Steps(console) as steps, open_playground(steps) as playground:
        api = playground.airflow.api
        steps.begin(f"Reading the DAG {DAG}")
        api.wait_for_dag(DAG)
        before = balances(playground.emulator)
        steps.begin(f"Running the DAG {DAG}")
        steps.tell(f"with {json.dumps(CONF)}")
        run_id = api.trigger(DAG, CONF)
        state = watch(playground, run_id, Story(steps))
        if state != "success":
            raise PlaygroundError(reason(playground, run_id, state))
        after = balances(playground.emulator)
        result = api.xcom(DAG, run_id, TASK)
    console.print()
    console.print(table(before, after))
    console.print(f"\nXCom [bold]return_value[/] of the task {TASK}, for the tasks after it:", highlight=False)
    console.print(JSONHighlighter()(as_lines(result)), soft_wrap=not console.record)


def picture(path: Path) -> None:
    """Run the DAG once and draw what is printed as an SVG, for the README."""
    console = Console(record=True, width=118, force_terminal=False)
    main(console)
    console.save_svg(str(path), title="make demo")


def watch(playground: Playground, run_id: str, story: Story) -> str:
    """Tell what happens until the DAG run ends, and return its state."""
    airflow, emulator = playground.airflow, playground.emulator
    settings = ClientSettings(
        base_url=f"{emulator.url}/api/orchestration",
        token_url=f"{emulator.url}/api/auth/oauth/token",
        client_id=emulator.client_id,
        client_secret=emulator.client_secret,
    )
    with FlowsClient(settings) as flows:

        def look() -> str | None:
            airflow.check()
            state = airflow.api.run_state(DAG, run_id)
            story.tasks(airflow.api.states(DAG, run_id))
            story.stages(flows, [run["instance"] for run in emulator.runs()])
            return state if state in RUN_ENDED else None

        return wait_until(look, TIMEOUT, lambda: f"the DAG run to end\n{airflow.log_tails()}", interval=0.4)


def balances(emulator: EmulatorProcess) -> Balances:
    """Return the balances of the accounts, by account and asset, in the asset's smallest unit."""
    return {account: emulator.account(LEDGER, account)["balances"] for account in ACCOUNTS}


def table(before: Balances, after: Balances) -> Table:
    """Return a table of balances before and after."""
    shown = Table(title=f"Accounts in the ledger {LEDGER}", title_justify="left")
    shown.add_column("account")
    shown.add_column("asset")
    shown.add_column("before", justify="right")
    shown.add_column("after", justify="right")
    assets = sorted({asset for side in (before, after) for held in side.values() for asset in held})
    for account in ACCOUNTS:
        for asset in assets:
            amounts = [amount(side[account].get(asset, 0), asset) for side in (before, after)]
            shown.add_row(account, asset.partition("/")[0], *amounts)
    return shown


def amount(units: int, asset: str) -> str:
    """Return an amount with its decimal point, by digits alone: "EUR/2" has two decimals."""
    decimals = int(asset.partition("/")[2] or 0)
    digits = str(abs(units)).rjust(decimals + 1, "0")
    sign = "-" if units < 0 else ""
    return sign + (f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits)


def as_lines(result: dict[str, object]) -> str:
    """Return JSON with a line for each key, and for each item of a list."""
    lines = []
    for key, value in result.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(f"    {json.dumps(item)}" for item in value) + "\n  ]"
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}"


def reason(playground: Playground, run_id: str, state: str) -> str:
    """Say why the run did not succeed, with the end of the logs of the tasks that failed."""
    api = playground.airflow.api
    items = api.task_instances(DAG, run_id)
    logs = [
        f"--- task {item['task_id']}, try {item['try_number']}\n"
        + "\n".join(api.log(DAG, run_id, item["task_id"], item["try_number"], item["map_index"]).splitlines()[-20:])
        for item in items
        if item["state"] in ("failed", "up_for_retry")
    ]
    return "\n".join([f"the DAG run ended as {state}: {api.states(DAG, run_id)}", *logs])


def _coloured(state: str) -> str:
    colours = {"success": "green", "failed": "red", "deferred": "magenta", "running": "cyan"}
    return f"[{colours[state]}]{state}[/]" if state in colours else state


if __name__ == "__main__":
    if sys.argv[1:2] == ["--picture"]:
        picture(Path(sys.argv[2]))
    else:
        run_main(main)
