"""What is kept in a file outlives the process, however that ends."""

from __future__ import annotations

import pytest
import requests

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from tests.unit.emulator.conftest import Flows, send

OPTIONS = ("--time-scale", "0.1")


def view(flows, restless):
    """All that a client sees, but for the activities of an instance that tries again and again."""
    paths = ["/workflows", "/instances", "/triggers"]
    paths += [f"/triggers/{trigger['id']}/occurrences" for trigger in flows.data("GET", "/triggers")]
    for instance in flows.data("GET", "/instances"):
        paths += [f"/instances/{instance['id']}{more}" for more in ("", "/history", "/stages/0/history")]
    paths.remove(f"/instances/{restless}/stages/0/history")
    return {path: flows.ask("GET", path).json() for path in paths}


def wait_until_it_waits(flows, instance):
    wait_for(lambda: len(flows.data("GET", f"/instances/{instance}/history")) == 2)


@pytest.mark.parametrize("kill", [False, True], ids=["ended", "killed"])
def test_everything_is_there_again_and_goes_on(tmp_path, kill):
    file = tmp_path / "stack.db"
    with EmulatorProcess(*OPTIONS, "--db", file) as emulator:
        flows = Flows(emulator)
        token = flows.session.headers["Authorization"]
        emulator.make_ledger("second")
        workflow = flows.workflow(send("10"), {"wait_event": {"event": "go"}}, send("5", "alice", "bob"))
        trigger = {"event": "ORDER", "workflowID": flows.workflow({"noop": {}})}
        flows.data("POST", "/triggers", trigger)
        emulator.publish("ORDER", {"id": 1})
        done = flows.run(workflow)
        wait_until_it_waits(flows, done)
        flows.ask("POST", f"/instances/{done}/events", {"name": "go"})
        waiting = flows.run(workflow)
        poor = flows.run(flows.workflow(send("1000000", "bob", "carol")))
        wait_until_it_waits(flows, waiting)
        wait_for(lambda: flows.data("GET", f"/instances/{poor}/stages/0/history")[0]["attempt"] == 5)
        wait_for(lambda: len(flows.data("GET", "/instances?running=true")) == 2)
        before = view(flows, poor), emulator.account("default", "alice"), emulator.transactions(), emulator.runs()
        if kill:
            emulator.kill()
    with EmulatorProcess(*OPTIONS, "--db", file) as emulator:
        flows = Flows(emulator)
        assert (
            view(flows, poor),
            emulator.account("default", "alice"),
            emulator.transactions(),
            emulator.runs(),
        ) == before
        assert emulator.account("second", "x") == {"balances": {}, "metadata": {}}
        flows.session.headers["Authorization"] = token
        flows.ask("POST", f"/instances/{waiting}/events", {"name": "go"})
        wait_for(lambda: flows.instance(waiting)["terminated"])
        assert emulator.account("default", "bob")["balances"] == {"EUR/2": 10}
        flows.run(flows.workflow(send("2000000", "world", "bob")))
        wait_for(lambda: flows.instance(poor)["terminated"], 60)


def test_a_run_that_no_worker_had_begun_begins_after_the_restart(tmp_path):
    file = tmp_path / "stack.db"
    with EmulatorProcess(*OPTIONS, "--db", file) as emulator:
        flows = Flows(emulator)
        workflow = flows.workflow({"noop": {}})
        emulator.fault("*", "worker_down")
        with pytest.raises(requests.ReadTimeout):
            flows.ask("POST", f"/workflows/{workflow}/instances", {"a": "b"}, timeout=0.3)
    with EmulatorProcess(*OPTIONS, "--db", file) as emulator:
        flows = Flows(emulator)
        (run,) = wait_for(emulator.runs)
        assert run["variables"] == {"a": "b"}
        wait_for(lambda: flows.instance(run["instance"])["terminated"])


def test_the_counter_of_instances_begins_with_those_in_the_file(tmp_path):
    file = tmp_path / "stack.db"
    with EmulatorProcess(*OPTIONS, "--db", file) as emulator:
        flows = Flows(emulator)
        workflow = flows.workflow({"noop": {}})
        flows.run(workflow)
        emulator.reset_counters()
        flows.run(workflow)
        assert emulator.counters()["instances"] == 1
    with EmulatorProcess(*OPTIONS, "--db", file) as emulator:
        assert emulator.counters()["instances"] == 2


def test_reset_empties_the_file(tmp_path):
    file = tmp_path / "stack.db"
    with EmulatorProcess(*OPTIONS, "--db", file) as emulator:
        Flows(emulator).workflow({"noop": {}})
        emulator.reset()
    with EmulatorProcess(*OPTIONS, "--db", file) as emulator:
        assert Flows(emulator).data("GET", "/workflows") == []


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path):
    file = tmp_path / "stack.db"
    file.write_text("This is a text, and longer than the header of a database would be." * 20)
    with pytest.raises(RuntimeError, match=r"^the emulator did not start: emulator: cannot use --db .*not a database$"):
        EmulatorProcess("--db", file).start()
