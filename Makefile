# `make help` lists what there is. Needs Python 3.11 to 3.13 and a way to PyPI, nothing else.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help venv demo ui test lint bench test-lowest build constraints clean

VENV ?= .venv
# The interpreter for the environment. Where there is an environment already, its own is as good as any.
PYTHON ?= $(if $(wildcard $(VENV)/bin/python),$(VENV)/bin/python,python3)
# A fixed port for Airflow's API and UI in `make demo` and `make ui`; a free one where it is empty.
AIRFLOW_PORT ?=
# A folder with DAGs of your own for `make ui`, beside the examples.
DAGS ?=
# More for pytest, e.g. make test ARGS="tests/unit -x"
ARGS ?=
# Processes that run tests side by side, each with an emulator of its own, and one with an Airflow, for which it mostly
# waits; 0 for none but this one.
WORKERS ?= 3
PYTEST = -m pytest --numprocesses $(WORKERS) --dist loadfile

export AIRFLOW_PORT DAGS
# Without bytecode each of Airflow's processes would compile thousands of modules anew.
unexport PYTHONDONTWRITEBYTECODE

define check_python
@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
  echo "error: there is no $(PYTHON) here: make $@ PYTHON=/path/to/python, one of 3.11, 3.12 or 3.13" >&2; exit 1; }
@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
  echo "error: $(PYTHON) is $$("$(PYTHON)" -V 2>&1 | head -n 1): make $@ PYTHON=/path/to/python, one of 3.11, 3.12 or 3.13" >&2; exit 1; }
endef

# $(call install,EXTRAS): bring the environment up to date; at once where it is.
define install
$(check_python)
@"$(PYTHON)" tools/install.py --venv "$(VENV)" --extras $(1)
endef

help: ## list the targets
	@echo "make TARGET [PYTHON=python3.12] [AIRFLOW_PORT=8080] [DAGS=folder]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' Makefile

venv: ## make the environment .venv with everything for development
	$(call install,dev)

demo: ## run a payout with an approval in a real Airflow, tell its story, leave nothing behind
	$(call install,)
	@"$(VENV)/bin/python" -m tools.demo

ui: ## the same without an end: Airflow's UI with the example DAGs, until Ctrl-C
	$(call install,)
	@"$(VENV)/bin/python" -m tools.ui

test: ## all tests: unit, contract, faults, end to end on a real Airflow (ARGS="tests/unit -x" for some)
	$(call install,test)
	@"$(VENV)/bin/python" $(PYTEST) $(ARGS)

lint: ## ruff (rules and format) and mypy
	$(call install,dev)
	@"$(VENV)/bin/ruff" check .
	@"$(VENV)/bin/ruff" format --check .
	@"$(VENV)/bin/mypy"

bench: ## the benchmarks, beside other providers
	$(call install,bench)
	@for file in benchmarks/*.py; do echo "== $$file"; "$(VENV)/bin/python" "$$file" || failed=1; done; exit $${failed:-0}

test-lowest: WORKERS = 2
test-lowest: ## unit tests and one end-to-end test with the lowest versions that the package allows
	$(check_python)
	@"$(PYTHON)" tools/install.py --venv .venv-lowest --constraints constraints-lowest.txt --extras test
	@.venv-lowest/bin/python $(PYTEST) $(or $(ARGS),tests/unit tests/e2e/test_smoke.py)

build: ## the wheel and the source distribution, in dist/
	$(call install,dev)
	@"$(VENV)/bin/python" -m build --outdir dist .

constraints: ## resolve the pinned versions anew (needs the newest of everything, so: rarely)
	$(call install,dev)
	@"$(VENV)/bin/python" -m tools.constraints

clean: ## remove environments, builds and caches
	@rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov .coverage*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
