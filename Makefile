# Two commands on a fresh machine: `make demo` and `make test`. Both build .venv by themselves.
# Another Python beside it: make test-fast PYTHON=python3.13 VENV=.venv/3.13
PYTHON ?= python3
UV_VERSION := 0.13.8
VENV := .venv
BIN := $(VENV)/bin
# What makes .venv, and what it is where it will not do. Written for Pythons of any age.
INTERPRETER = $(or $(wildcard $(BIN)/python),$(PYTHON))
FITNESS = import sys; v = sys.version_info; v < (3, 11) and sys.exit("%d.%d" % v[:2]); $(if $(wildcard $(BIN)/python),,import ensurepip)
UNFIT = $(shell $(INTERPRETER) -c '$(FITNESS)' 2>&1 | tail -n 1)
# Without bytecode each of the tests' processes compiles all of tests/ and worker/ anew: 8 s of CPU.
unexport PYTHONDONTWRITEBYTECODE
# One process more than cores: many tests wait for a socket, and some measure time.
SHARED := $(BIN)/pytest -n 3 --dist worksteal
# Long by nature: worker processes, signals, installed packages, hours of virtual time, 200,000 rows.
PROCESSES := $(addprefix tests/,service own_jobs isolation chaos simulation jobs/test_report_scale.py \
	cli/test_dlq.py cli/test_inspect_live.py cli/test_output.py cli/test_console_command.py ops/test_log_sinks.py \
	intake/test_any_order.py intake/test_outage.py intake/test_partial_outage.py unit/test_tracing.py)
PINS := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
COMPILE := $(PINS) pyproject.toml

.PHONY: help venv demo test test-fast test-processes coverage check chaos bench prove format docs lock clean

help:  ## lists the targets
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV)/with-dev  ## .venv with all that development needs

# The demo needs a third of what the tests need; with all of it, that third is there too.
$(VENV)/with-%: deploy/requirements-%.txt pyproject.toml
	$(if $(UNFIT),$(error Python 3.11 or newer with venv is needed. $(INTERPRETER): $(UNFIT). Another one: make $(MAKECMDGOALS) PYTHON=python3.12))
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r $<
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	touch $@

demo: $(if $(wildcard $(VENV)/with-dev),venv,$(VENV)/with-demo)  ## every job on emulators, with a table as proof: no account, no Docker
	$(BIN)/worker demo

test: venv  ## every test but those of test-processes; three minutes
	$(SHARED) $(PROCESSES:%=--ignore=%)

test-fast: venv  ## the tests of what most changes touch: unit, intake, jobs; a minute
	$(SHARED) tests/unit tests/intake tests/jobs $(PROCESSES:%=--ignore=%)

test-processes: venv  ## the rest: worker processes, signals, installed jobs, hours of virtual time; some minutes
	$(SHARED) $(PROCESSES)

coverage: venv  ## both with their branches counted and more random examples; below 95 % it fails
	$(SHARED) --hypothesis-profile thorough --cov --cov-report=term:skip-covered

check: venv  ## what a reviewer's machine runs: style, types, layers, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

chaos: venv  ## the worker as a process under faults and kills; prints its seed. CHAOS=--full is the long one
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) $(CHAOS)

bench: venv  ## side by side with its peers; needs node and npm. BENCH="intake sigterm --quick" narrows it
	$(BIN)/python -m tests.benchmarks $(BENCH)

prove: venv  ## the long proofs, hours: isolation, full chaos, bench, and their figures. PROVE="isolation --quick" narrows it
	$(BIN)/python -m tests.isolation.prove $(PROVE)

format: venv  ## formats the code and applies what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: venv  ## from the code: the tables of the READMEs, .env.example, deploy/jobs.json, deploy/COST.md, the dashboard's rows, the module's README
	$(BIN)/python -m tests.unit.test_readme
	$(BIN)/worker jobs --json > deploy/jobs.json
	$(BIN)/python deploy/monitoring/dashboard.py --write
	$(BIN)/python deploy/terraform/readme.py --write
	$(BIN)/python -m tests.benchmarks.cost --write

lock: venv  ## pins with hashes; no index address, so that any mirror serves
	$(COMPILE) --extra uvloop --extra otel -o deploy/requirements.txt
	printf 'hatchling>=1.27\n' | $(PINS) - -o deploy/requirements-build.txt
	$(COMPILE) --extra uvloop --extra demo -o deploy/requirements-demo.txt
	$(COMPILE) --extra uvloop --extra demo --extra dev -o deploy/requirements-dev.txt
	printf '%s\n' cyclonedx-bom==7.5.0 helm-python-sdk==0.2.2 | $(PINS) - -o deploy/requirements-release.txt
	printf '%s\n' helm-python-sdk==0.2.2 jsonschema==4.26.0 kubernetes-validate==1.37.0 PyYAML==6.0.3 | $(PINS) - -o deploy/tests/kubernetes/requirements.txt

clean:  ## removes .venv and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
