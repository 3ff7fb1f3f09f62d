"""`make demo`: two payouts, run by a real Airflow and told while they go; of the second one, an answer is lost."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
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

Balances = dict[str, dict[str, int]]
Conf = Mapping[str, str | int]

DAG = "payout_with_approval"
TASK = "pay"
CONF: Conf = {"order": "1234", "payee": "users:alice", "amount": 1000}
LOST_CONF: Conf = {"order": "5678", "payee": "users:bob", "amount": 2500}
LEDGER = "default"
TIMEOUT = 180.0
# Seconds of silence after which it is said that there is nothing to say.
SILENCE = 10.0
# What the lines of the task's log have in common that tell how the lost run was found.
LOST_AND_FOUND = ("submitting workflow", "is not known", "looking for up to", "taken over: instance")


@dataclass
class Story:
    """What was told already of one DAG run, so that each change of a task and of a stage is told once."""

    steps: Steps
    began: float = field(default_factory=time.monotonic)
    _spoke: float = field(default_factory=time.monotonic)
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

    def silence(self) -> None:
        """Say so where nothing was told for a while."""
        if time.monotonic() - self._spoke > SILENCE:
            self._tell("", "[dim]nothing new; Airflow's processes are at work[/]")

    def _tell(self, who: str, what: str) -> None:
        self._spoke = time.monotonic()
        self.steps.tell(f"[dim]{time.monotonic() - self.began:5.1f} s[/]  {who:<8} {what}")


def main(console: Console) -> None:
    """Run the DAG twice and tell both stories."""
    console.print(
        Panel(
            "A payout in three stages: pay in, wait for an approval, pay out. Airflow runs it in Formance Flows (here: "
            "its emulator), watches it without holding a worker, and sends the approval from a second task.\n"
            "Then another one, and the connection breaks after Flows has taken the run on, before it has answered.",
            title="airflow-provider-orchestration",
        )
    )
    with Steps(console) as steps, open_playground(steps) as playground:
        api, emulator = playground.airflow.api, playground.emulator
        steps.begin(f"Reading the DAG {DAG}")
        api.wait_for_dag(DAG)
        steps.begin(f"Running the DAG {DAG}")
        run_id, paid = pay(playground, steps, CONF)
        result = api.xcom(DAG, run_id, TASK)
        steps.begin(f"Running the DAG {DAG} again, and losing the answer to its submission")
        emulator.fault("run_workflow", "reset_after")
        run_id, paid_once = pay(playground, steps, LOST_CONF)
        log = api.log(DAG, run_id, TASK).splitlines()
        started = len(runs_of(emulator, LOST_CONF))
    console.print(f"\n[bold]The first payout[/], order {CONF['order']}", highlight=False)
    console.print(paid)
    console.print(f"XCom return_value of the task {TASK}, for the tasks after it:", highlight=False)
    console.print(JSONHighlighter()(as_lines(result)), soft_wrap=not console.record)
    console.print(
        f"\n[bold]The second payout[/], order {LOST_CONF['order']}: its answer was lost, and it was not sent again. "
        f"Instances that were started: {started}. What the log of the task {TASK} says:",
        highlight=False,
    )
    for line in log:
        if any(words in line for words in LOST_AND_FOUND):
            console.print(f"  {escape(line.partition(' ')[2])}", highlight=False, soft_wrap=not console.record)
    console.print(paid_once)


def pay(playground: Playground, steps: Steps, conf: Conf) -> tuple[str, Table]:
    """Run the DAG once; return the id of the run and a table of the accounts between which it moved money."""
    accounts = ("world", f"orders:{conf['order']}", str(conf["payee"]))
    before = balances(playground.emulator, accounts)
    steps.tell(f"with {json.dumps(conf)}")
    run_id = playground.airflow.api.trigger(DAG, conf)
    state = watch(playground, run_id, conf, Story(steps))
    if state != "success":
        raise PlaygroundError(reason(playground, run_id, state))
    return run_id, table(before, balances(playground.emulator, accounts))


def picture(path: Path) -> None:
    """Tell both stories and draw what is printed as an SVG, for the README."""
    console = Console(record=True, width=118, force_terminal=False)
    main(console)
    console.save_svg(str(path), title="make demo")


def watch(playground: Playground, run_id: str, conf: Conf, story: Story) -> str:
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
            story.stages(flows, runs_of(emulator, conf))
            story.silence()
            return state if state in RUN_ENDED else None

        return wait_until(look, TIMEOUT, lambda: f"the DAG run to end\n{airflow.log_tails()}", interval=0.4)


def runs_of(emulator: EmulatorProcess, conf: Conf) -> list[str]:
    """Return the ids of all instances that were ever started for an order."""
    return [run["instance"] for run in emulator.runs() if run["variables"]["order"] == conf["order"]]


def balances(emulator: EmulatorProcess, accounts: Sequence[str]) -> Balances:
    """Return the balances of the accounts, by account and asset, in the asset's smallest unit."""
    return {account: emulator.account(LEDGER, account)["balances"] for account in accounts}


def table(before: Balances, after: Balances) -> Table:
    """Return a table of balances before and after."""
    shown = Table(title=f"Accounts in the ledger {LEDGER}", title_justify="left")
    shown.add_column("account")
    shown.add_column("asset")
    shown.add_column("before", justify="right")
    shown.add_column("after", justify="right")
    assets = sorted({asset for side in (before, after) for held in side.values() for asset in held})
    for account in before:
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
