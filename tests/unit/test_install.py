"""The environment of the Makefile: quick when there is nothing to do, one clear line when it fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import install

ROOT = Path(__file__).resolve().parents[2]


def test_only_what_decides_the_installation_changes_the_fingerprint(tmp_path, monkeypatch):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("requests==2.34.2\n")
    for name in ("pyproject.toml", *install.INPUTS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(install, "ROOT", tmp_path)
    before = install.fingerprint(constraints)
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("line-length = 120", "line-length = 100"))
    assert install.fingerprint(constraints) == before
    constraints.write_text("requests==2.34.3\n")
    assert install.fingerprint(constraints) != before


@pytest.mark.parametrize("content", ["", "{", json.dumps({"python": [3, 8], "fingerprint": "x"})])
def test_an_environment_of_another_python_or_half_made_counts_as_none(tmp_path, content):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "installed.json").write_text(content)
    assert install.read_stamp(tmp_path) == {}


def test_without_a_network_one_line_says_so(tmp_path):
    env = os.environ | {
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    env.pop("PIP_FIND_LINKS", None)
    command = [sys.executable, "tools/install.py", "--venv", str(tmp_path / "venv")]
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 1
    *steps, error = ran.stderr.splitlines()
    assert all(step.startswith("venv: ") for step in steps)
    assert error.startswith("error: no network: pip could not reach the package index")
    assert not (tmp_path / "venv" / "installed.json").exists()


@pytest.mark.parametrize("version", [None, "Python 3.9.18", "Python 3.14.0"])
def test_a_python_that_does_not_do_is_one_line(tmp_path, version):
    python = tmp_path / "python"
    if version is not None:
        python.write_text(f'#!/bin/sh\n[ "$1" = -V ] && echo "{version}"\nexit 1\n')
        python.chmod(0o755)
    command = ["make", "demo", f"PYTHON={python}", f"VENV={tmp_path}/venv"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode != 0
    said = [line for line in ran.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert said[0].startswith(f"error: {python} is {version}" if version else f"error: there is no {python}")
    assert "3.11, 3.12 or 3.13" in said[0]
    assert not (tmp_path / "venv").exists()
