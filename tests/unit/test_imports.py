"""Which way imports go in the package, and what a DAG file loads by importing it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "airflow_provider_orchestration"
FOLDER = Path(__file__).resolve().parents[2] / PACKAGE

# What each part of the package may import of the others, TYPE_CHECKING and imports inside functions included.
BELOW_RUN = {"exceptions", "api", "hooks"}
ALLOWED = {
    "exceptions": set(),
    "api": {"exceptions"},
    "hooks": {"exceptions", "api"},
    "run": BELOW_RUN,
    "triggers": BELOW_RUN | {"run"},
    # An operator names its link; nothing else imports a leaf.
    "operators": BELOW_RUN | {"run", "triggers", "links"},
    "sensors": BELOW_RUN | {"run", "triggers", "links"},
    "links": BELOW_RUN | {"run"},
    "notifications": BELOW_RUN | {"run"},
    "cli": BELOW_RUN | {"run"},
    "ui": BELOW_RUN | {"run"},
    "emulator": set(),
    "get_provider_info": set(),
}
# The rooms of a part, each with those that it may import. A module outside of them is below all rooms, but for the
# emulator's own beginning.
ROOMS = {
    "run": {
        "judge": set(),
        "submit": {"judge"},
        "wait": {"judge", "submit"},
        "event": {"judge", "submit", "wait"},
    },
    "emulator": {
        "go": set(),
        "expr": {"go"},
        "world": {"go", "expr"},
        "http": {"go", "expr", "world"},
    },
}
# What must be loaded only when something is done; the models (3 ms) are there once a DAG file imports the hook, for its
# results are passed from task to task.
MODELS = f"{PACKAGE}.api.models"
HEAVY = ("requests", "authlib", "fastapi", f"{PACKAGE}.emulator", MODELS, f"{PACKAGE}.api.client")

MODULES = sorted(path.relative_to(FOLDER.parent) for path in FOLDER.rglob("*.py"))


def _part(module: str, of: str = PACKAGE) -> str:
    """Return the part of a package that a dotted name belongs to: "api" for "<package>.api.client"."""
    return module.removeprefix(of).strip(".").partition(".")[0]


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse((FOLDER.parent / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from package import part` names a part by what it imports.
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name == PACKAGE or name.startswith(PACKAGE + ".")}


def _imported_parts(path: Path) -> set[str]:
    return {_part(name) for name in _imported(path)} - {"__version__", ""}


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent.name or path.stem != "__init__"], ids=str)
def test_imports_go_one_way(path):
    part = _part(".".join(path.with_suffix("").parts))
    if part == "__init__":
        assert not _imported_parts(path)
        return
    assert part in ALLOWED, f"{path}: say in ALLOWED what this part may import"
    assert _imported_parts(path) - {part} <= ALLOWED[part]


@pytest.mark.parametrize("part", ROOMS)
def test_rooms_of_a_part_import_one_way(part):
    package, rooms = f"{PACKAGE}.{part}", ROOMS[part]
    seen = set()
    for path in (path for path in MODULES if path.parts[1] == part and not path.stem.startswith("__")):
        room = path.parts[2] if len(path.parts) > 3 else None
        seen.add(room)
        names = {name for name in _imported(path) if name.startswith(package + ".")}
        imported = {_part(name, package) for name in names} & rooms.keys()
        assert imported <= (rooms[room] | {room} if room else set()), path
    assert seen - {None} == rooms.keys()


def _dag_side_modules(*more: str) -> list[str]:
    parts = {"operators", "sensors", "triggers", "exceptions", "get_provider_info", *more}
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in MODULES]
    return [name for name in names if _part(name) in parts]


def _loaded_by(statements: str) -> set[str]:
    code = f"{statements}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout.splitlines()[-1]))


@pytest.mark.parametrize("hook", [False, True], ids=["without the hook", "with the hook"])
def test_what_a_dag_file_imports_loads_nothing_heavy(hook):
    modules = _dag_side_modules(*["hooks"] * hook)
    assert {_part(name) for name in modules} >= {"operators", "sensors", "triggers"}
    loaded = _loaded_by("\n".join(f"import {name}" for name in modules))
    assert set(modules) <= loaded
    heavy = {name for name in loaded for root in HEAVY if name == root or name.startswith(root + ".")}
    assert heavy == ({MODELS} if hook else set())


def test_the_emulator_runs_without_airflow():
    loaded = _loaded_by(f"import {PACKAGE}.emulator.__main__")
    assert not sorted(name for name in loaded if name == "airflow" or name.startswith(("airflow.", "requests")))
