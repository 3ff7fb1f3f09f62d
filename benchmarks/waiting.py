"""
What waiting costs: N tasks that wait, beside the dbt-cloud provider's trigger and beside triggers that do nothing.

TLS on, the clients in processes of their own, the servers on this machine: the emulator, and a small one of dbt Cloud's
API. Looks every 2 s instead of the usual 10 s but for the time from an end to its event (what one look costs does not
depend on it); those of dbt-cloud's as often as it manages. Goals are checked; exits 1 where one is missed. Prints a
table, then that of the README, and writes docs/waiting.json and docs/waiting.svg. A quarter of an hour, and a machine
that does nothing else; with names of parts (`holds ends`) only those, without goals. A real triggerer is measured by
`benchmarks.waiting_parts.triggerer`. `ulimit -n` must be above 11,000.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from benchmarks.waiting_parts.measure import Bench

#: Tasks that wait.
NUMBERS = (200, 1000, 10_000)
#: Those of the peer: it opens a connection for each look of each task, and of thousands it does not come round.
PEER_NUMBERS = (200, 1000)
#: Those that wait on each generation of server.
PAGED_NUMBERS = (1000, 10_000)


def main() -> int:
    """Measure, print, write, and return 0 if all goals were met."""
    from benchmarks.waiting_parts import plot, table
    from benchmarks.waiting_parts.measure import Bench

    chosen = sys.argv[1:]
    folder = Path(tempfile.mkdtemp(prefix="benchmark-waiting-"))
    # Airflow makes files where it is imported: in a folder of its own, and not in the developer's.
    os.environ["AIRFLOW_HOME"] = str(folder)
    figures: dict[str, Any] = {}
    (folder / "next").mkdir()
    try:
        with Bench(folder) as bench, Bench(folder / "next", "--server", "next") as on_next:
            for name, measured in _parts(bench, on_next).items():
                if not chosen or name in chosen:
                    figures[name] = measured()
                    print(f"{name}: {json.dumps(figures[name])}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if chosen:
        return 0
    kept = ROOT / "docs" / "waiting.json"
    # Measured elsewhere, and kept: benchmarks.waiting_parts.triggerer.
    before = json.loads(kept.read_text()) if kept.exists() else {}
    figures |= {name: value for name, value in before.items() if name.startswith("triggerer")}
    kept.write_text(json.dumps(figures, indent=1) + "\n")
    (ROOT / "docs" / "waiting.svg").write_text(plot.draw(figures["steady"], figures["dbt_cloud"]))
    rows = table.rows(figures)
    print("", *rows, "", table.for_readme(figures), "", sep="\n")
    missed = [row.what for row in rows if row.met is False]
    print(f"goals MISSED: {', '.join(missed)}" if missed else "all goals met")
    return 1 if missed else 0


def _parts(bench: Bench, on_next: Bench) -> dict[str, Callable[[], Any]]:
    """Return what is measured, by name."""
    from benchmarks.waiting_parts import holds, many, measure, paged, shared

    most = NUMBERS[-1]
    return {
        "steady": lambda: {number: measure.steady(bench, number) for number in NUMBERS},
        "dbt_cloud": lambda: {number: measure.dbt_cloud(bench, number) for number in PEER_NUMBERS},
        "bare": lambda: {number: measure.bare(bench, number) for number in NUMBERS},
        "stages": lambda: measure.stages(bench, most),
        "idle": lambda: holds.idle(bench, most),
        "holds": lambda: holds.holds(bench, most),
        "ends": lambda: many.ends(bench, 1000, bursts=10),
        "many_workflows": lambda: many.workflows(bench, 1000),
        "crossing": lambda: many.crossing(bench),
        "burst": lambda: many.burst(bench, 1000),
        "servers": lambda: {
            "2.6": {number: paged.waiting(bench, number, paged=False) for number in PAGED_NUMBERS},
            "next": {number: paged.waiting(on_next, number, paged=True) for number in PAGED_NUMBERS},
        },
        "tokens": lambda: shared.tokens(bench, 1000, of_plain=200),
        "refused": lambda: shared.refused(bench, 400),
        "long_workflow": lambda: shared.long_workflow(bench, 1000),
    }


if __name__ == "__main__":
    sys.exit(main())
