"""What is told of a run whose submission got no answer."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

import pytest

from airflow_provider_orchestration.cli import get_cli_commands
from airflow_provider_orchestration.run.record import Phase, RunRecord
from airflow_provider_orchestration.run.submit.recovery import Candidate
from airflow_provider_orchestration.run.submit.unknown import unknown_run
from tests.support.task_life import TaskInstance
from tests.support.things import run_record


def ti(run_id: str = "run", map_index: int = -1) -> TaskInstance:
    return TaskInstance("dag", run_id, "pay", map_index, 1, 0, {})


def lines_of(record: RunRecord, candidates: Any = (), instance: Any = None, **more: Any) -> list[str]:
    error = unknown_run(record, instance or ti(), candidates, **{"conn_id": "formance_default", **more})
    assert str(error) == "whether this task's run was submitted is not known"
    return list(error.details)


def found(name: str) -> Candidate:
    return Candidate(name, "2027-01-15T08:00:01+00:00", False, None)


def test_the_lines_tell_key_time_candidates_and_the_three_ways_on():
    record = run_record(phase=Phase.UNKNOWN, instance_id=None, intent_at=1_800_000_000.9, recoverable=True)
    assert lines_of(record, [found("i7")]) == [
        "a run may have been submitted at 2027-01-15 08:00:00 UTC, and may still start later",
        "nothing is submitted again by itself; the run key is:",
        record.run_key,
        "instances of workflow w1 created since:",
        "  i7 of 2027-01-15 08:00:01, running, no history",
        "What a person can do: clear the task to look again",
        "or adopt the instance that is this task's, then clear the task to take it over:",
        "airflow formance adopt dag run pay --instance-id i7",
        "or, sure that nothing was submitted, forget it, then clear to submit again:",
        "airflow formance forget dag run pay",
    ]


def test_the_lines_say_why_no_look_can_prove_anything():
    record = run_record(phase=Phase.UNKNOWN, instance_id=None)
    lines = lines_of(record, trouble="list_instances: 503")
    assert "the workflow is not recoverable: no look can prove whose an instance is" in lines
    assert "instances of workflow w1 created since: none" in lines
    assert "as far as is known; the last look failed: list_instances: 503" in lines


def test_no_line_is_cut_off_where_a_log_is_looked_at():
    record = run_record(phase=Phase.UNKNOWN, instance_id=None)
    many = [found(f"{number:08}-0000-0000-0000-000000000000") for number in range(300)]
    lines = lines_of(record, many, ti("scheduled__2026-11-26T09:48:56.123456+00:00"))
    assert max(map(len, lines)) <= 150
    assert len(lines) <= 25


@pytest.mark.parametrize("command", ["adopt", "forget"])
@pytest.mark.parametrize("run_id", ["manual__2026-11-26T09:48:56+00:00", 'it\'s a $(run) "id"'])
def test_the_commands_are_what_the_command_line_understands(command, run_id):
    record = run_record(phase=Phase.UNKNOWN, instance_id=None)
    lines = lines_of(record, [found("a"), found("b")], ti(run_id, 3), conn_id="other")
    (line,) = [one for one in lines if one.startswith(f"airflow formance {command}")]
    airflow, formance, name, *given = shlex.split(line)
    assert (airflow, formance, name) == ("airflow", "formance", command)
    (declared,) = [one for one in get_cli_commands()[0].subcommands if one.name == command]
    parser = argparse.ArgumentParser()
    for arg in declared.args:
        arg.add_to_parser(parser)
    args = parser.parse_args(given)
    assert (args.dag_id, args.run_id, args.task_id, args.map_index, args.conn_id) == ("dag", run_id, "pay", 3, "other")
    assert getattr(args, "instance_id", "INSTANCE_ID") == "INSTANCE_ID"
