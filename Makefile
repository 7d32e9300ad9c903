# Two commands for a newcomer: `make demo` and `make test`. Everything else is for those who work on z0.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
UV_VERSION := 0.13.9
UV := .tools/bin/uv
Z0 := .venv/bin/z0
PYTEST := .venv/bin/python -m pytest
ALL_CORES := --numprocesses auto
ARGS ?=

.PHONY: help env demo test test-unit test-stack test-faults lint format bench clean

help:            ## This list
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: env        ## The whole pipeline on a real trace; `make demo ARGS=--exit` stops the stack at the end
	$(Z0) demo $(ARGS)

test: lint test-unit test-stack  ## Everything that must be green: lint, unit and property tests, tests on the real stack

test-unit: env   ## Kernel tests and the simulation, compiled and plain: no server, two minutes
	$(PYTEST) $(ALL_CORES) tests/unit tests/property tests/simulation tests/golden tests/tidy -q $(ARGS)
	Z0_COMPILED=0 $(PYTEST) $(ALL_CORES) tests/unit/test_domain_*.py tests/unit/test_receipts.py tests/unit/test_log_working_set.py tests/unit/test_log_rounds.py tests/property tests/golden tests/simulation -q $(ARGS)

test-stack: env  ## Tests on real Kafka, Postgres, ClickHouse and S3, started once for the run
	$(PYTEST) tests/contract tests/integration tests/acceptance -q $(ARGS)
	$(PYTEST) tests/faults -m "not faults" -q $(ARGS)

test-faults: env ## The slow fault tests: processes killed, brokers stopped
	$(PYTEST) tests -m faults -q $(ARGS)

lint: env        ## ruff, mypy --strict, import-linter
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: env      ## Let ruff put things in order
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: env       ## The measurements of docs/architecture.md
	$(Z0) bench decide
	$(Z0) bench latency --door direct
	$(Z0) bench latency --door kafka

env: .venv/.compiled  ## The Python environment, from uv.lock, and the compiled kernel

.venv/.compiled: .venv/.synced scripts/compile z0/compiled.py z0/codec.py $(wildcard z0/domain/*.py z0/log/*.py)
	.venv/bin/python scripts/compile
	@touch $@

.venv/.synced: uv.lock pyproject.toml scripts/prerequisites scripts/python
	@scripts/prerequisites
	@test -x $(UV) || (python3 -m venv .tools && .tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION))
	$(UV) sync --frozen --all-extras --quiet --python "$$(scripts/python)"
	@touch $@

clean:           ## Remove the environment and the local stack's data (asks nothing)
	test ! -x $(Z0) || $(Z0) down
	rm -rf .venv .tools .z0
