"""What the wheel holds and says, and that the lower bounds and the pinned versions agree with it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_string
from functools import cache
from importlib.metadata import files, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "airflow_provider_orchestration"


def build(target: str, folder: Path) -> Path:
    # The build backend itself: pip or build would look for it on the network first.
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    return message_from_string(wheel.read(next(n for n in wheel.namelist() if n.endswith("/METADATA"))).decode())


def test_the_wheel_holds_the_package_and_no_more(wheel):
    names = [name for name in wheel.namelist() if ".dist-info/" not in name]
    here = [path.relative_to(ROOT).as_posix() for path in (ROOT / PACKAGE).rglob("*") if path.is_file()]
    assert sorted(names) == sorted(name for name in here if "__pycache__" not in name)
    assert f"{PACKAGE}/py.typed" in names
    assert f"{PACKAGE}/emulator/__main__.py" in names


def test_the_source_distribution_holds_what_readme_and_contributing_name(tmp_path):
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    named = [".ci/run", "Makefile", "README.md", "CONTRIBUTING.md", "constraints.txt", "tests/conftest.py"]
    assert names >= {*named, *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").iterdir())}


def test_the_wheel_carries_the_licence_and_the_entry_point(wheel):
    files = {name.partition(".dist-info/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "Apache License" in wheel.read(files["licenses/LICENSE"]).decode()
    entry_points = wheel.read(files["entry_points.txt"]).decode()
    assert f"[apache_airflow_provider]\nprovider_info = {PACKAGE}.get_provider_info:get_provider_info" in entry_points


def test_metadata(metadata):
    from airflow_provider_orchestration import __version__

    assert metadata["Name"] == "airflow-provider-orchestration"
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == "<3.14,>=3.11"


def test_provider_info_names_this_distribution(metadata):
    from airflow_provider_orchestration.get_provider_info import get_provider_info

    assert get_provider_info()["package-name"] == metadata["Name"]


def _runtime_requirements() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {req.name.lower(): req for req in map(Requirement, project["dependencies"])}


def _pins(name: str) -> dict[str, Version]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    pins = [re.fullmatch(r"([a-z0-9._-]+)==([^ ;]+)( ; .*)?", line) for line in lines]
    assert all(pins), "only `name==version`, with a marker where needed"
    return {pin[1]: Version(pin[2]) for pin in pins if pin}


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-lowest.txt"])
def test_the_pinned_versions_fit_the_requirements(name):
    pins = _pins(name)
    for distribution, requirement in _runtime_requirements().items():
        assert requirement.specifier.contains(pins[distribution]), (distribution, pins[distribution])


def test_the_lowest_versions_are_the_lower_bounds():
    pins = _pins("constraints-lowest.txt")
    bounds = {
        name: max(Version(spec.version) for spec in requirement.specifier if spec.operator == ">=")
        for name, requirement in _runtime_requirements().items()
    }
    # 2.32.0 and 2.32.1 were withdrawn from PyPI.
    assert bounds.pop("requests") == Version("2.32.0")
    assert pins["requests"] == Version("2.32.2")
    assert {name: pins[name] for name in bounds} == bounds


def _imported() -> set[str]:
    """Return what the package imports, wherever in a module: ``from a.b import c`` is a.b.c, which may be no module."""
    modules = [ast.parse(path.read_text()) for path in (ROOT / PACKAGE).rglob("*.py")]
    names = {name for module in modules for node in ast.walk(module) for name in _names(node)}
    return {name for name in names if name.partition(".")[0] not in {PACKAGE, *sys.stdlib_module_names}}


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.module, "no relative imports"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _files(name: str) -> frozenset[str]:
    return frozenset(file.as_posix() for file in files(name) or ())


def _distribution_of(name: str) -> str:
    """Return of which distribution an imported name is; where several share its top, the one that has its file."""
    top, _, rest = name.partition(".")
    candidates = sorted({canonicalize_name(each) for each in packages_distributions().get(top, ())})
    while rest and len(candidates) > 1:
        module = f"{top}/{rest.replace('.', '/')}"
        if having := [each for each in candidates if {f"{module}.py", f"{module}/__init__.py"} & _files(each)]:
            candidates = having
        rest = rest.rpartition(".")[0]
    assert len(candidates) == 1, (name, candidates)
    return candidates[0]


def test_the_wheel_declares_what_it_imports_and_nothing_else(metadata):
    declared = {
        canonicalize_name(req.name) for req in map(Requirement, metadata.get_all("Requires-Dist")) if not req.marker
    }
    assert declared == {canonicalize_name(name) for name in _runtime_requirements()}
    # `apache-airflow` has no module of its own: it pins these two, which share the name `airflow` with each other and
    # with the providers. A provider's module counts for that provider alone.
    parts = {"apache-airflow-core", "apache-airflow-task-sdk"}
    assert {canonicalize_name(Requirement(line).name) for line in requires("apache-airflow") or ()} >= parts
    found: dict[str, set[str]] = {}
    for name in _imported():
        of = _distribution_of(name)
        found.setdefault("apache-airflow" if of in parts else of, set()).add(name)
    assert {of: names for of, names in found.items() if of not in declared} == {}, "imported and not declared"
    assert declared - set(found) == set(), "declared and not imported"
