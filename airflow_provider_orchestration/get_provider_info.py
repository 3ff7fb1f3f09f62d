"""What Airflow reads of this provider, at every start: data only, loads nothing."""

from __future__ import annotations

from typing import Any

_TEXT = ["string", "null"]

# Airflow hides the value of a field whose name contains "token", "secret" or "password", and of `proxy`, which may hold
# a password.
CONNECTION_TYPE: dict[str, Any] = {
    "connection-type": "formance",
    "hook-class-name": "airflow_provider_orchestration.hooks.orchestration.OrchestrationHook",
    "hook-name": "Formance",
    "ui-field-behaviour": {
        "hidden-fields": ["schema"],
        "relabeling": {"host": "Stack address", "login": "Client id", "password": "Client secret"},
        "placeholders": {
            "host": "https://myorg-mystack.eu.sandbox.formance.cloud",
            "login": "empty for a stack without authentication",
            "auth_url": "default: {stack address}/api/auth/oauth/token",
        },
    },
    "conn-fields": {
        "auth_url": {
            "label": "Authentication address",
            "description": "Address that gives tokens. Default: {stack address}/api/auth/oauth/token",
            "schema": {"type": _TEXT, "format": "url"},
        },
        "scopes": {
            "label": "Scopes",
            "description": "Scopes to ask for, separated by blanks. A token without them is worth nothing.",
            "schema": {"type": _TEXT, "default": "openid orchestration:read orchestration:write"},
        },
        "flows_path": {
            "label": "Path of Flows",
            "description": "Path of Flows below the stack address.",
            "schema": {"type": _TEXT, "default": "/api/orchestration"},
        },
        "connect_timeout": {
            "label": "Connect timeout",
            "description": "Seconds to wait for a connection.",
            "schema": {"type": ["number", "null"], "default": 10, "minimum": 0.1},
        },
        "read_timeout": {
            "label": "Read timeout",
            "description": "Seconds to wait for an answer. Starting a run can take 20 seconds on a busy stack.",
            "schema": {"type": ["number", "null"], "default": 30, "minimum": 0.1},
        },
        "verify": {
            "label": "Verify TLS",
            "description": "true, false, or the path of a file of authorities.",
            "schema": {"type": _TEXT, "default": "true"},
        },
        "proxy": {
            "label": "Proxy",
            "description": "Address of a proxy for all requests. Default: what the environment says.",
            "schema": {"type": _TEXT},
        },
        "client_cert": {
            "label": "Client certificate",
            "description": "Path of a certificate with its key, or two paths: certificate,key",
            "schema": {"type": _TEXT},
        },
        "allow_http": {
            "label": "Allow plain http",
            "description": "Send client secret and token unencrypted to another machine, too.",
            "schema": {"type": ["boolean", "null"], "default": False},
        },
    },
}


def _option(description: str, kind: str, default: str, example: str) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": kind,
        "default": default,
        "example": example,
    }


_CONFIG: dict[str, Any] = {
    "formance": {
        "description": "How the Formance Flows provider looks at the runs that tasks wait for.",
        "options": {
            "poll_interval": _option(
                "Seconds between two looks at a run, where an operator does not say otherwise.", "float", "10.0", "30"
            ),
            "requests_at_once": _option(
                "Requests that one triggerer sends to one stack at once, and so its connections. A long list that "
                "comes in pages may take three more.",
                "integer",
                "8",
                "4",
            ),
            "single_reads_per_second": _option(
                "Requests a second that one triggerer spends on one stack to look at instances one by one, where no "
                "list shows them. More is asked later, and the tasks' logs say so.",
                "float",
                "20.0",
                "100",
            ),
            "stage_reads_per_second": _option(
                "Requests a second that one triggerer spends on telling the stages of runs that wait in great number. "
                "0: their logs tell only the end.",
                "float",
                "5.0",
                "1",
            ),
        },
    }
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, as Airflow's provider_info schema wants it."""
    return {
        "package-name": "airflow-provider-orchestration",
        "name": "Formance Flows",
        "description": "Runs of Formance Flows that move money, started once and watched to their end.",
        "connection-types": [CONNECTION_TYPE],
        "config": _CONFIG,
        "cli": ["airflow_provider_orchestration.cli.get_cli_commands"],
    }
