# Gatehouse's commands. `make run` and `make test` need nothing but Python 3.11 and the package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
export PORT

.PHONY: help run test test-programs fuzz check format bench lock clean

help:
	@echo "make run    set everything up and serve a working demo on PORT (default 8000)"
	@echo "make test   set everything up and run every test"
	@echo "make fuzz   run the fuzzers alone, with new examples, for an hour (FUZZ_SECONDS=60 for a minute)"
	@echo "make check  formatting, lint, types, import rules, migrations"
	@echo "make bench  measure beside nginx, Envoy, Ferro, TensorZero, Portkey and LiteLLM (ARGS=--help for more)"
	@echo "make lock   resolve the dependencies again"
	@echo "make clean  remove the environment, caches and the demo's data"

run: $(VENV)/.installed
	@$(BIN)/python manage.py demo --port $(PORT)

test:
	@$(MAKE) --no-print-directory -j 2 $(VENV)/.installed-dev test-programs
	@$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

# What the tests need beside Python; it comes while pip installs.
test-programs:
	@sh tests/support/programs_setup.sh

FUZZ_SECONDS ?= 3600

fuzz:
	@$(MAKE) --no-print-directory -j 2 $(VENV)/.installed-dev test-programs
	@$(BIN)/python -m pytest --fuzz $(FUZZ_SECONDS) --timeout 0 $(ARGS)

check: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/deptry . --no-ansi
	@$(BIN)/mypy gateway rules accounts providers usage batches alerts console sandbox
	@GATEHOUSE_DATA_DIR=$(VENV)/check-data $(BIN)/python manage.py makemigrations --check --dry-run
	@GATEHOUSE_DATA_DIR=$(VENV)/check-data $(BIN)/python manage.py check --fail-level WARNING

format: $(VENV)/.installed-dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.installed
	@$(BIN)/python -m benchmarks $(ARGS)

$(VENV)/bin/python:
	@echo "Making the environment in $(VENV)."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock | $(VENV)/bin/python
	@echo "Installing the dependencies (about a minute the first time)."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock | $(VENV)/bin/python
	@echo "Installing the dependencies and the test tools (about two minutes the first time)."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.installed

lock: $(VENV)/.installed-dev
	@$(BIN)/python -m pip install -q uv
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -U -o requirements-dev.lock
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -c requirements-dev.lock -o requirements.lock

clean:
	@rm -rf $(VENV) data .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* htmlcov benchmarks/.cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
