"""A burst of runs at a stack that answers 429 above a rate: each is submitted once, none is lost."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from tests.faults.payout import payment
from tests.support.task_life import TaskLife

pytestmark = pytest.mark.faults

RUNS = 200
#: As many tasks at once as an executor has slots, and requests a second that the stack takes.
SLOTS, RATE = 16, 100


@pytest.mark.parametrize("deferrable", [False, True], ids=["waiting", "deferrable"])
def test_a_burst_is_submitted_once_each_and_none_is_lost(emulator, connect, deferrable):
    connect(extra={"read_timeout": 10.0})
    workflow = OrchestrationHook().create_workflow({"name": "burst", "stages": [payment("${payee}")]})
    emulator.fault("*", "rate_limit", per_second=RATE)

    def run(index: int) -> str:
        def make() -> RunWorkflowOperator:
            return RunWorkflowOperator(
                task_id="pay",
                workflow_id=workflow.id,
                variables={"payee": f"burst{deferrable}{index}", "amount": 1},
                deferrable=deferrable,
                poll_interval=0.2,
                run_timeout=100,
                retries=3,
            )

        return TaskLife(make, retries=3, map_index=index).execute_to_end()

    with ThreadPoolExecutor(SLOTS) as threads:
        states = Counter(threads.map(run, range(RUNS)))
    emulator.clear_faults()
    assert states == {"success": RUNS}
    payees = Counter(one["variables"]["payee"] for one in emulator.runs() if one["workflow"] == workflow.id)
    assert payees == {f"burst{deferrable}{index}": 1 for index in range(RUNS)}
    # The stack did turn requests away, or this shows nothing.
    asked = emulator.counters()["requests"]
    assert asked["run_workflow"] + asked["get_instance"] > 2 * RUNS
