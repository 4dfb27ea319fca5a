# Every target sets up .venv by itself and keeps it up to date; nothing is needed but Python 3.11 or newer
# and, for the type check with pyright, Node.js.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
# The folders of the package, as they are in the tree.
ROOMS := engine stores transports conformance cli
# Extra arguments, as in: make test ARGS="-k push -x"
ARGS ?=
PATHS ?= .

# pyright on PyPI fetches the program of its own version from the npm registry; never another one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# Hundreds of processes are started: what one compiled is there for the next.
unexport PYRIGHT_PYTHON_FORCE_VERSION PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check lint types imports format bench soak install clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: install ## watch two devices and a server go offline, conflict and agree
	@$(BIN)/tidesync demo $(ARGS)

test: install ## run the tests
	@$(PYTHON) -m pytest -n 3 -q $(ARGS)

check: install ## run every check that is not a test; all of them, also after one has failed
	@$(MAKE) --keep-going lint types imports

lint: install ## ruff: rules and format
	@echo "ruff check"; failed=0; $(BIN)/ruff check --quiet . || failed=1; \
	echo "ruff format --check"; $(BIN)/ruff format --quiet --check . || { echo "run: make format"; failed=1; }; \
	exit $$failed

types: install ## mypy --strict and pyright
	@echo "mypy --strict"; failed=0; $(BIN)/mypy --strict -p tidesync --no-error-summary | $(IN_TREE) || failed=1; \
	echo "pyright"; $(BIN)/pyright --pythonpath $(PYTHON) | $(IN_TREE) || failed=1; \
	exit $$failed

imports: install ## import-linter: who may import whom
	@echo "lint-imports"; $(BIN)/lint-imports --no-cache --no-logo >build/imports.log 2>&1 \
		|| { cat build/imports.log; exit 1; }

format: install ## let ruff fix what it safely can, and format: all, or PATHS="engine/plans tests"
	@$(BIN)/ruff check --quiet --fix --exit-zero $(PATHS) >/dev/null; $(BIN)/ruff format --quiet $(PATHS)

bench: install ## run the benchmarks
	@$(PYTHON) -m benchmarks $(ARGS)

soak: install ## search for long: histories of five edits, the suite on our stores, all scenarios over all protocols, attacks, simulated lives
	@HYPOTHESIS_PROFILE=soak $(PYTHON) -m pytest -n 2 -q tests/engine/test_law.py tests/attacks/service/test_views.py tests/peers tests/stores/sqlcipher tests/conformance/http/test_async_service.py
	@TIDESYNC_CONFORMANCE_PROFILE=ci HYPOTHESIS_PROFILE=soak $(PYTHON) -m pytest -n 2 -q tests/conformance/test_*.py
	@$(PYTHON) -m tests.attacks.service.soak
	@$(PYTHON) -m tidesync.conformance.simulation soak $(ARGS)

clean: ## remove the environment, builds and caches
	@rm -rf $(VENV) build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find $(ROOMS) tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Type checkers read the linked tree under build/; their messages should name the files to edit.
IN_TREE = sed -E -e 's,($(CURDIR)/)?build/(package|__editable__[^/]*)/tidesync/,tidesync/,g' \
	-e 's,tidesync/(stores|transports|conformance|cli)/,\1/,g' -e 's,(^|[ "])tidesync/,\1engine/,g'

install: ## make .venv ready (every target does it)
	@.ci/install
