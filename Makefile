# make run        three APIs into DuckDB, then Dagster's UI      (make run UI=0 ends after the table)
# make test       every test
# make test-long  the long forms too; the soak's hour is set by INGEST_SOAK_SECONDS
# make check      format, lint, types, import layers, tests
# make bench      side by side with dlt, pandas and bare DuckDB (see benchmarks/README.md)
# make lock       renew the locks                                 make clean-demo   remove data/demo

PYTHON ?= python3
UI ?= 1
PORT ?= 3000
BIN := .venv/bin
# A half each, so that what a file's tests share is made once; who is done first takes some of what the other has left.
PYTEST := $(BIN)/pytest --numprocesses 2 --dist worksteal

.PHONY: run test test-long check bench lock clean-demo
.DELETE_ON_ERROR:

run: .venv/ready
	@$(BIN)/ingest demo --port $(PORT) $(if $(filter 0,$(UI)),--no-ui)

test: .venv/dev
	$(PYTEST)

test-long: .venv/dev
	INGEST_LONG=1 $(PYTEST)

check: .venv/dev
	$(BIN)/python -m pip check --disable-pip-version-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

bench: .venv/dev
	$(BIN)/python -m benchmarks orders 100000 --against "ours, schema known" floor pandas dlt-tuned
	$(BIN)/python -m benchmarks events 100000
	$(BIN)/python -m benchmarks messy 20000 --against dlt-tuned

lock: .venv/dev
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade $(LOCKED) --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --constraint requirements.lock $(LOCKED) --extra dev --output-file requirements-dev.lock pyproject.toml

LOCKED := --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-annotate --no-header

clean-demo:
	rm -rf data/demo

# The locks are complete, so --no-deps: older pips refuse extras (gql[requests]) among hashes when they resolve.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name one by: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Installing into .venv …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/dev: .venv/ready requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@touch $@
