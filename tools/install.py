"""Makes the virtual environment that the Makefile works in, and brings it up to date. Needs the standard library only.

Does nothing where the environment has what is asked for (a stamp in it says so). Every failure is one line on stderr.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What decides what is installed, and the version that the metadata of the editable installation carries.
INPUTS = ("airflow_provider_orchestration/__init__.py", "tools/install.py")
# Sentences that pip writes where it could not reach the index at all.
NO_NETWORK = re.compile(
    r"Name or service not known|name resolution|Failed to resolve|NewConnectionError|Network is unreachable|"
    r"ConnectTimeout|Max retries exceeded|Connection refused|connection broken|ProxyError|getaddrinfo failed|"
    r"from versions: none",
    re.IGNORECASE,
)


class InstallError(Exception):
    """The environment could not be made; the text is the one line to print."""


class Progress:
    """One line that says what goes on and for how long: rewritten on a terminal, repeated now and then elsewhere."""

    def __init__(self, title: str) -> None:
        """Begin to count the seconds."""
        self.title = title
        self.begin = time.monotonic()
        self._last = -15.0

    def show(self, detail: str) -> None:
        """Show the seconds that went by and the detail."""
        seconds = time.monotonic() - self.begin
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r\033[K" + f"{self.title} ({seconds:.0f} s) {detail}"[:width])
        elif seconds - self._last >= 15:
            self._last = seconds
            sys.stderr.write(f"{self.title} ({seconds:.0f} s)\n")
        sys.stderr.flush()

    def done(self, text: str) -> None:
        """End the line, with the seconds that it took."""
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        sys.stderr.write(f"{clear}{text} ({time.monotonic() - self.begin:.0f} s)\n")


def run(command: list[str], log: Path, progress: Progress) -> int:
    """Run a command with its output in the log, show its last line as progress, and return its exit code."""
    # Bytecode is wanted: without it each of Airflow's processes compiles its modules anew, for many seconds.
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            while True:
                try:
                    return process.wait(timeout=0.5)
                except subprocess.TimeoutExpired:
                    lines = log.read_text(errors="replace").splitlines()
                    progress.show(lines[-1].strip() if lines else "")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def fingerprint(constraints: Path) -> str:
    """Return a digest of all that decides what the environment holds, but for the extras."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())
    digest = hashlib.sha256(repr([tables["build-system"], tables["project"]]).encode())
    for path in [*(ROOT / name for name in INPUTS), constraints]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_stamp(venv: Path) -> dict[str, object]:
    """Return what the environment's stamp says, or nothing where there is none that can be used."""
    try:
        stamp = json.loads((venv / "installed.json").read_text())
    except (OSError, ValueError):
        return {}
    python = venv / "bin" / "python"
    same = stamp.get("python") == list(sys.version_info[:2]) and python.exists()
    return stamp if same else {}


def pip_failure(log: Path) -> str:
    """Say in one line why pip failed."""
    text = log.read_text(errors="replace")
    errors = [line.strip() for line in text.splitlines() if line.strip().startswith("ERROR:")]
    if NO_NETWORK.search(text):
        return f"no network: pip could not reach the package index (all of pip's output: {log})"
    return f"pip failed: {errors[-1] if errors else 'it gave no reason'} (all of pip's output: {log})"


def make(venv: Path, log: Path) -> None:
    """Make an empty environment in place of whatever is there."""
    shutil.rmtree(venv, ignore_errors=True)
    version = ".".join(map(str, sys.version_info[:3]))
    progress = Progress(f"{venv.name}: making an environment with Python {version}")
    progress.show("")
    # The base interpreter: an environment made by another environment's Python would hang on that one.
    base = getattr(sys, "_base_executable", None) or sys.executable
    if run([base, "-m", "venv", str(venv)], log, progress) != 0:
        raise InstallError(f"{base} -m venv failed: on Debian, install python3-venv (all of its output: {log})")


def install(venv: Path, constraints: Path, extras: list[str], log: Path) -> None:
    """Install the package (editable) with the extras at the pinned versions, compile all, write the stamp last."""
    python = str(venv / "bin" / "python")
    what = f"Airflow and this package{' with ' + ', '.join(extras) if extras else ''}"
    (venv / "installed.json").unlink(missing_ok=True)
    progress = Progress(f"{venv.name}: installing {what}")
    target = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    options = ["--disable-pip-version-check", "--no-input", "--no-compile", "--constraint", str(constraints)]
    if run([python, "-m", "pip", "install", *options, "--editable", target], log, progress) != 0:
        raise InstallError(pip_failure(log))
    progress.done(f"{venv.name}: installed {what}")

    progress = Progress(f"{venv.name}: compiling to bytecode")
    site_packages = next(venv.glob("lib/python*/site-packages"))
    # Some packages carry templates that are no valid Python: compileall reports them, nobody imports them.
    run([python, "-m", "compileall", "-q", "-j", "0", str(site_packages)], log, progress)
    progress.done(f"{venv.name}: compiled to bytecode")

    stamp = {"fingerprint": fingerprint(constraints), "extras": extras, "python": list(sys.version_info[:2])}
    (venv / "installed.json").write_text(json.dumps(stamp))
    log.replace(venv / "install.log")


def main() -> int:
    """Bring the environment up to date; exit code 0, or 1 after one line that says why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt")
    parser.add_argument("--extras", nargs="*", default=[])
    args = parser.parse_args()
    venv = args.venv.absolute()
    stamp = read_stamp(venv)
    have = stamp.get("extras")
    extras = sorted({*args.extras, *(have if isinstance(have, list) else [])})
    if "dev" in extras and "test" in extras:
        extras.remove("test")  # dev brings it
    if stamp.get("fingerprint") == fingerprint(args.constraints) and extras == have:
        return 0
    log = venv.with_name(venv.name + "-install.log")
    log.unlink(missing_ok=True)
    try:
        if not stamp:
            make(venv, log)
        install(venv, args.constraints.absolute(), extras, log)
    except InstallError as error:
        sys.stderr.write(f"{chr(13) + chr(27) + '[K' if sys.stderr.isatty() else ''}error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nerror: interrupted; the next run begins again\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
