"""
``airflow formance``: which instance belongs to which task, and what a person decides where that is not known.

Airflow imports this module at every call of ``airflow``: it declares the commands and loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.cli.cli_config import Arg, GroupCommand

_HERE = "airflow_provider_orchestration.cli"
_DECIDING = (
    "It writes the task's record through Airflow's REST API and nothing else: neither Airflow's database nor Flows is "
    "changed, and nothing runs until the task is cleared. Refused while the task is unfinished. Who decided, and when, "
    "stays in the record."
)


def get_cli_commands() -> list[GroupCommand]:
    """Return the commands for Airflow's command line."""
    from airflow.cli.cli_config import ActionCommand, GroupCommand, lazy_load_command

    shared = _shared_args()
    task = (
        _arg("dag_id", help="DAG of the task"),
        _arg("run_id", help="its DAG run"),
        _arg("task_id", help="its id"),
        _arg("--map-index", type=int, default=-1, help="index of a mapped task"),
        _arg("-y", "--yes", action="store_true", default=False, help="write without asking"),
    )
    operator = _arg(
        "--operator",
        action="append",
        metavar="CLASS",
        help="class name of an operator that is a subclass of RunWorkflowOperator; may be repeated",
    )
    runs = ActionCommand(
        name="runs",
        help="show which instance belongs to which task",
        description="Shows it from the tasks' records and, for what is not recorded or not known, from the run keys in "
        "the histories of the stack.",
        func=lazy_load_command(f"{_HERE}.runs.runs"),
        args=(
            _arg("--dag-id", help="only this DAG"),
            _arg("--run-id", help="only this DAG run (with --dag-id)"),
            _arg("--workflow-id", help="only runs of this Flows workflow"),
            _arg(
                "--since",
                help="only tasks that changed, and instances created, since: 90m, 12h, 7d, or an ISO 8601 time; "
                "default 7d, with --run-id the whole DAG run",
            ),
            operator,
            *shared,
        ),
    )
    adopt = ActionCommand(
        name="adopt",
        help="say that an instance is a task's run",
        description=f"Says that an instance is this task's run. {_DECIDING}",
        func=lazy_load_command(f"{_HERE}.decisions.adopt"),
        args=(*task, _arg("--instance-id", required=True, help="the Flows instance"), operator, *shared),
    )
    forget = ActionCommand(
        name="forget",
        help="let a task submit again whose submission's outcome is not known",
        description="Lets a task submit again of which it is not known whether its run was submitted. If it was, money "
        f"moves twice. {_DECIDING}",
        func=lazy_load_command(f"{_HERE}.decisions.forget"),
        args=(
            *task,
            _arg(
                "--yes-although-not-all-was-read",
                action="store_true",
                default=False,
                help="forget although not all instances and histories of the workflow could be read",
            ),
            *shared,
        ),
    )
    return [
        GroupCommand(
            name="formance",
            help="Runs of Formance Flows: which are whose, and deciding where it is not known",
            subcommands=[runs, adopt, forget],
        )
    ]


def _shared_args() -> tuple[Arg, ...]:
    return (
        _arg("--conn-id", default="formance_default", help="Airflow connection of the stack; default formance_default"),
        _arg(
            "--api-url",
            help="address of Airflow's API server; default base_url of the section api in Airflow's configuration",
        ),
        _arg(
            "--token",
            help="token for Airflow's API; better in AIRFLOW_API_TOKEN, where other users of the machine do not see it",
        ),
        _arg(
            "--username",
            help="user of Airflow's API; the password is asked for, or taken from AIRFLOW_API_PASSWORD",
        ),
        _arg("-o", "--output", choices=("table", "json"), default="table", help="output format; default table"),
    )


def _arg(*flags: str, **options: Any) -> Arg:
    from airflow.cli.cli_config import Arg

    return Arg(flags, **options)  # type: ignore[no-untyped-call]
