# The commands of the house. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
UV = $$(command -v uv || echo $(BIN)/uv)
UNIT := not integration and not postgres and not clients
# The tests by which every branch of domain and projections is gone through; to measure that
# takes twice the time.
COVERING := tests/domain tests/projections tests/store tests/cashier tests/sealing \
  tests/verbs tests/test_metrics.py domain projections
# How many processes share the tests; those that need other processes mostly wait for them.
JOBS ?= 2
WAITING_JOBS ?= 2
# What `make simulate` runs.
SEEDS ?= 300
FIRST ?= 1
STEPS ?= 90
# What `make soak` takes: two thirds of it storm, one third calm, once for each engine.
SOAK_SECONDS ?= 30
# How long the ledger is that bench-books reads; of any other length nothing is written down.
EVENTS ?= 1000000
# A release younger than this is left to others to find out about.
COOLDOWN ?= 7 days

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: dev
dev: $(INSTALLED) ## make .venv and install everything that is locked

.PHONY: demo
demo: $(INSTALLED) ## a real mint, a sample upstream and the house: one paid tour
	@exec $(BIN)/tallystick demo

.PHONY: run
run: $(INSTALLED) ## serve for real, with the settings of .env
	@exec $(BIN)/tallystick serve

.PHONY: test
test: check integration test-clients ## everything: check, the real mint and gunicorn, their clients

.PHONY: check
check: $(INSTALLED) ## format, lint, types, architecture, unit tests with coverage
	@echo "== format"
	@$(BIN)/ruff format --check --quiet . || { echo "make fmt mends this"; exit 1; }
	@echo "== lint"
	@$(BIN)/ruff check --quiet .
	@echo "== types"
	@$(BIN)/mypy
	@echo "== architecture"
	@$(BIN)/lint-imports --no-logo
	@echo "== unit tests"
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -m "$(UNIT)" -n $(JOBS) --dist loadfile $(COVERING)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report
	@$(BIN)/pytest -q -m "$(UNIT)" -n $(JOBS) --dist loadfile \
	  $(addprefix --ignore=,$(COVERING))

.PHONY: integration
integration: $(INSTALLED) ## the tests that need real processes or PostgreSQL
	@echo "== integration tests"
	@$(BIN)/pytest -q -m "integration or postgres" -n $(WAITING_JOBS) --dist loadfile

.PHONY: test-clients
test-clients: $(INSTALLED) ## OpenAI's SDKs, wallets, a browser and others against the house
	@echo "== environments of the clients"
	@$(BIN)/python -m tests.clients.environments install
	@echo "== clients"
	@$(BIN)/pytest --no-header -m clients tests/clients

.PHONY: screenshots
screenshots: $(INSTALLED) ## pictures of the auditor's view for the docs; needs Chromium
	@$(BIN)/python -m tests.clients.screenshots

.PHONY: fmt
fmt: $(INSTALLED) ## format, mend what lint can mend, write the pages about settings anew
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .
	@$(BIN)/python -c 'from app.environment import env_example; print(env_example(), end="")' \
	  > .env.example.new && mv .env.example.new .env.example
	@$(BIN)/python -c 'from app.environment import settings_page; print(settings_page(), end="")' \
	  > docs/settings.md.new && mv docs/settings.md.new docs/settings.md
	@$(BIN)/python -c 'import sys; from app.environment import with_settings; \
	  print(with_settings(sys.stdin.read()), end="")' < README.md > README.md.new \
	  && mv README.md.new README.md

.PHONY: lock
lock: .venv/.uv ## choose the newest releases and pin them with their hashes
	@$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --exclude-newer "$(COOLDOWN)" --group dev --no-annotate \
	  --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

.PHONY: lock-clients
lock-clients: $(INSTALLED) ## the same for the environments of the clients
	@$(BIN)/python -m tests.clients.environments lock

.PHONY: docs
docs: $(INSTALLED) ## make a site of docs/, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict -f tools/mkdocs.yml
	@echo "build/site/index.html"

.PHONY: rebuild
rebuild: $(INSTALLED) ## drop every projection and make it again from the events
	@exec $(BIN)/tallystick rebuild

.PHONY: simulate
simulate: $(INSTALLED) ## the whole money path, simulated: SEEDS=10000, FIRST=1, STEPS=90
	@exec $(BIN)/python -m tests.simulation \
	  --seeds $(SEEDS) --first $(FIRST) --steps $(STEPS)

.PHONY: bench
bench: $(INSTALLED) ## what a paid request costs; writes docs/performance.md anew
	@exec $(BIN)/python -m tests.bench.paid

.PHONY: bench-peers
bench-peers: $(INSTALLED) ## Tallystick beside nginx, Flask, LiteLLM and Portkey; installs them
	@exec $(BIN)/python -m tests.bench.beside

.PHONY: lock-peers
lock-peers: .venv/.uv ## lock the packages of LiteLLM and Portkey anew, at the same releases
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --exclude-newer "$(COOLDOWN)" --no-annotate --custom-compile-command "make lock-peers" \
	  --output-file tests/bench/peers/litellm/requirements.lock \
	  tests/bench/peers/litellm/requirements.in
	@cd tests/bench/peers/portkey && npm install --package-lock-only --ignore-scripts

.PHONY: bench-ledger
bench-ledger: $(INSTALLED) ## hold+charge pairs a second beside raw inserts; writes docs anew
	@exec $(BIN)/python -m tests.bench.ledger

.PHONY: bench-books
bench-books: $(INSTALLED) ## every page and report over a million events (EVENTS=50000); writes docs
	@exec $(BIN)/python -m tests.bench.books --events $(EVENTS)

.PHONY: soak
soak: $(INSTALLED) ## mixed load while all around it fails, then a calm: SOAK_SECONDS=1800
	@exec env SOAK_SECONDS=$(SOAK_SECONDS) $(BIN)/pytest -q tests/integration/test_soak.py

.PHONY: bench-overload
bench-overload: $(INSTALLED) ## what is served while four times as much is asked for
	@exec $(BIN)/python -m tests.bench.overload

.PHONY: bench-slow
bench-slow: $(INSTALLED) ## p99 of honest requests beside 100 clients that drip
	@exec $(BIN)/python -m tests.bench.slow

.PHONY: bench-wide
bench-wide: $(INSTALLED) ## what each part costs with 1, 2 and 4 hosts; writes docs/scaling.md anew
	@exec $(BIN)/python -m tests.bench.wide

.PHONY: clean
clean: ## remove what the tools made; never a database, never .env
	@rm -rf .venv .clients .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	  .coverage .coverage.* build dist *.egg-info
	@find app domain projections tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian keeps pip out of its own Python (PEP 668) and parts venv from it: so uv goes into
# .venv, by whichever of the two is there.
.venv/.uv:
	@if command -v uv >/dev/null; then \
	  test -x $(BIN)/python || uv venv --quiet --python 3.11 .venv \
	    || uv venv --quiet --python ">=3.11" .venv; \
	else \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || { echo "Python 3.11 or newer is needed: apt install python3 python3-venv" >&2; exit 1; }; \
	  echo "making .venv and fetching uv"; \
	  if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	    $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet "uv>=0.9"; \
	  elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	    $(PYTHON) -m venv --without-pip .venv \
	      && $(PYTHON) -m pip --python $(BIN)/python install --quiet "uv>=0.9"; \
	  else \
	    echo "Neither uv nor venv is on this machine. Run: apt install python3-venv" >&2; exit 1; \
	  fi; \
	fi
	@touch $@

$(INSTALLED): requirements.lock pyproject.toml | .venv/.uv
	@echo "installing what requirements.lock names"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
