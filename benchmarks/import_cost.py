"""
What a DAG file pays for importing this provider: CPU and modules over `import airflow.sdk`, beside other providers.

Imported are all operators, sensors, triggers and hooks of each. Goal: at most 0.02 of the CPU of `import airflow.sdk`
itself, and at most 45 modules. Exits 1 where it is missed.
"""

from __future__ import annotations

import json
import os
import pkgutil
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROUNDS = 7
GOAL_CPU = 0.02
GOAL_MODULES = 45
OURS = "airflow_provider_orchestration"
OTHERS = ("airflow.providers.airbyte", "airflow.providers.dbt.cloud", "airflow.providers.http")
PARTS = ("operators", "sensors", "triggers", "hooks")

# Runs in a fresh interpreter with the modules to import as arguments.
MEASURE = """
import json, sys, time
begin = time.process_time()
import airflow.sdk
middle, modules = time.process_time(), len(sys.modules)
for name in sys.argv[1:]:
    __import__(name)
print(json.dumps([middle - begin, time.process_time() - middle, len(sys.modules) - modules]))
"""


def main() -> int:
    """Measure, print, and return 0 if the goal was met."""
    packages = {package: modules_of(package) for package in (OURS, *OTHERS)}
    missing = [package for package, modules in packages.items() if not modules]
    if missing:
        print(f"not installed: {', '.join(missing)}; `make bench` installs what is compared", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as home:
        # The packages take turns, so that a busy moment of the machine does not hit one of them alone.
        rounds = [{package: measure(modules, home) for package, modules in packages.items()} for _ in range(ROUNDS)]
    sdk = statistics.median(one[0] for each in rounds for one in each.values())
    print(f"on top of `import airflow.sdk` ({sdk:.2f} s of CPU), {ROUNDS} rounds, medians")
    results = {package: (median_cpu(rounds, package), rounds[-1][package][2]) for package in packages}
    for package, (cpu, modules) in results.items():
        print(f"  {package:<32} {1000 * cpu:6.1f} ms   {cpu / sdk:.4f} of it   {modules:4d} modules")
    cpu, modules = results[OURS]
    met = cpu / sdk <= GOAL_CPU and modules <= GOAL_MODULES
    print(f"goal {'met' if met else 'MISSED'}: at most {GOAL_CPU} of it and {GOAL_MODULES} modules")
    return 0 if met else 1


def modules_of(package: str) -> list[str]:
    """Return the names of all modules with operators, sensors, triggers and hooks; none if it is not installed."""
    names = []
    for part in PARTS:
        try:
            spec = find_spec(f"{package}.{part}")
        except ModuleNotFoundError:
            return []
        if spec is not None and spec.submodule_search_locations is not None:
            found = pkgutil.iter_modules(spec.submodule_search_locations, f"{package}.{part}.")
            names += [module.name for module in found]
    return names


def measure(modules: list[str], home: str) -> tuple[float, float, int]:
    """Return seconds of CPU of `import airflow.sdk`, seconds of CPU and new modules of what is imported after it."""
    # Neither the settings of this machine's Airflow nor a missing bytecode cache belong to the measurement.
    env = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env |= {"AIRFLOW_HOME": home, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-c", MEASURE, *modules]
    ran = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    sdk, extra, new = json.loads(ran.stdout.splitlines()[-1])
    return sdk, extra, new


def median_cpu(rounds: list[dict[str, tuple[float, float, int]]], package: str) -> float:
    """Return the median of a package's extra seconds of CPU."""
    return statistics.median(each[package][1] for each in rounds)


if __name__ == "__main__":
    sys.exit(main())
