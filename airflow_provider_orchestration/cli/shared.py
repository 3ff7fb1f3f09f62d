"""What the commands share: one line for an error, the output, the question before a write, the stack's client."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from airflow_provider_orchestration.exceptions import FormanceError, NotFoundError
from airflow_provider_orchestration.run.judge.reading import read_instance

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.run.judge.outcome import Outcome
    from airflow_provider_orchestration.run.submit.recovery import Candidate

#: Tasks of these operators have records of runs.
_OPERATORS = ("RunWorkflowOperator",)


def operators(args: Namespace) -> list[str]:
    """Return the class names of the operators whose tasks have runs, those of the command line included."""
    return [*_OPERATORS, *(args.operator or ())]


def command(run: Callable[[Namespace], None]) -> Callable[[Namespace], None]:
    """Let a command end with one line (and its details) and exit code 1 where it cannot do what it was asked."""

    @functools.wraps(run)
    def guarded(args: Namespace) -> None:
        from airflow.sdk.exceptions import AirflowException

        try:
            run(args)
        except (FormanceError, AirflowException) as error:
            lines = [f"error: {' '.join(str(error).split())}", *getattr(error, "details", ())]
            raise SystemExit("\n".join(lines)) from error
        except KeyboardInterrupt:
            raise SystemExit("stopped") from None

    return guarded


def write_line(text: str, to: TextIO | None = None) -> None:
    """Print a line, to standard output if nothing else is said."""
    (to or sys.stdout).write(f"{text}\n")


def write_json(value: Any) -> None:
    """Print a value as JSON."""
    write_line(json.dumps(value, indent=2))


def confirmed(question: str) -> bool:
    """Ask on standard error, so that the output stays clean, and tell whether the answer was yes."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextlib.contextmanager
def flows_client(conn_id: str) -> Iterator[FlowsClient]:
    """
    Give the client of an Airflow connection, wherever Airflow keeps it: environment, secrets backend or database.

    The REST API does not give its secret.
    """
    from airflow.models.connection import Connection

    from airflow_provider_orchestration.hooks.connection import settings_from_connection
    from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook

    settings = settings_from_connection(Connection.get_connection_from_secrets(conn_id))
    with OrchestrationHook.client_for(settings) as client:
        yield client


def state_of(client: FlowsClient, instance_id: str) -> Outcome | None:
    """Return what is known of an instance; None where the stack has no such instance."""
    try:
        return read_instance(client, instance_id)[1]
    except NotFoundError:
        return None


def candidate_as_json(candidate: Candidate) -> dict[str, Any]:
    """Return an instance that could be a task's for the JSON output."""
    return {
        "instance_id": candidate.instance_id,
        "created_at": candidate.created_at,
        "terminated": candidate.terminated,
        "history_read": candidate.texts is not None,
    }
