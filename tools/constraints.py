"""Resolves constraints.txt (newest) and constraints-lowest.txt (lowest of our bounds), for all Pythons at once."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADS = {
    "constraints.txt": """\
# The versions that `make` installs, on Python 3.11 to 3.13: the newest of everything on the day of `make constraints`.
""",
    "constraints-lowest.txt": """\
# The lowest versions that pyproject.toml allows (where one was withdrawn, the next), for `make test-lowest`:
# our own dependencies at their lower bounds, what these bring at its newest. Made by `make constraints`.
""",
}
EXTRAS = {"constraints.txt": ("dev", "bench"), "constraints-lowest.txt": ("test",)}
RESOLUTION = {"constraints.txt": "highest", "constraints-lowest.txt": "lowest-direct"}


def main() -> None:
    """Write both files."""
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "uv"], check=True)
    for name, head in HEADS.items():
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", "--upgrade"]
        command += ["--universal", "--python-version", "3.11", "--no-annotate", "--no-header"]
        command += ["--resolution", RESOLUTION[name], "--output-file", name]
        command += [word for extra in EXTRAS[name] for word in ("--extra", extra)]
        subprocess.run(command, cwd=ROOT, check=True)
        path = ROOT / name
        path.write_text(head + path.read_text())


if __name__ == "__main__":
    main()
