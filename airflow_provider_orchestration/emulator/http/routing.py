"""Which operation a path and a method mean; as the server's router has it, odd paths included."""

from __future__ import annotations

from dataclasses import dataclass

OPERATIONS: dict[str, tuple[str, str]] = {
    "orchestrationget_server_info": ("GET", "/_info"),
    "list_workflows": ("GET", "/workflows"),
    "create_workflow": ("POST", "/workflows"),
    "get_workflow": ("GET", "/workflows/{}"),
    "delete_workflow": ("DELETE", "/workflows/{}"),
    "run_workflow": ("POST", "/workflows/{}/instances"),
    "list_instances": ("GET", "/instances"),
    "get_instance": ("GET", "/instances/{}"),
    "get_instance_history": ("GET", "/instances/{}/history"),
    "get_instance_stage_history": ("GET", "/instances/{}/stages/{}/history"),
    "send_event": ("POST", "/instances/{}/events"),
    "cancel_event": ("PUT", "/instances/{}/abort"),
    "list_triggers": ("GET", "/triggers"),
    "create_trigger": ("POST", "/triggers"),
    "read_trigger": ("GET", "/triggers/{}"),
    "delete_trigger": ("DELETE", "/triggers/{}"),
    "list_triggers_occurrences": ("GET", "/triggers/{}/occurrences"),
    "list_workflows_v2": ("GET", "/v2/workflows"),
    "list_instances_v2": ("GET", "/v2/instances"),
    "list_triggers_v2": ("GET", "/v2/triggers"),
    "get_instance_v2": ("GET", "/v2/instances/{}"),
}
"""The 17 operations by their names in the published reference, and those of the API's second version."""

_ROUTES: dict[tuple[str, ...], dict[str, str]] = {}
for _name, (_method, _path) in OPERATIONS.items():
    _ROUTES.setdefault(tuple(_path[1:].split("/")), {})[_method] = _name

# Where the router mounts a router of its own, a slash at the end is taken as well.
_MOUNTS = {("workflows",), ("workflows", "{}"), ("workflows", "{}", "instances"), ("instances",), ("instances", "{}")}
_MOUNTS |= {("triggers",), ("triggers", "{}")}
_MOUNTS |= {("v2", "workflows"), ("v2", "instances"), ("v2", "triggers")}
_GUARDED = ("workflows", "instances", "triggers")


@dataclass(frozen=True)
class Match:
    """What a path means: an operation and its ids, or none, with the methods that the path knows."""

    operation: str | None = None
    ids: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    guarded: bool = False


def match(method: str, path: str) -> Match:
    """Find the operation. ``guarded`` says that the server looks at the token before anything else."""
    parts = path.split("/")[1:]
    guarded = (parts[1:] if parts[:1] == ["v2"] else parts)[:1] in [[one] for one in _GUARDED]
    for pattern, methods in _ROUTES.items():
        ids = _ids(pattern, parts)
        if ids is not None:
            return Match(methods.get(method), ids, tuple(methods), guarded)
    return Match(guarded=guarded)


def _ids(pattern: tuple[str, ...], parts: list[str]) -> tuple[str, ...] | None:
    if len(parts) == len(pattern) + 1 and parts[-1] == "" and pattern in _MOUNTS:
        parts = parts[:-1]
    if len(parts) != len(pattern) or (pattern[-1] == "{}" and parts[-1] == ""):
        return None
    if any(wanted not in ("{}", part) for wanted, part in zip(pattern, parts, strict=True)):
        return None
    return tuple(part for wanted, part in zip(pattern, parts, strict=True) if wanted == "{}")
