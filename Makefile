# Everything a developer or CI runs. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NOT_LONG := not slow and not chaos and not bench

# Test files are shared out to as many processes as there are cores, four at most (tests/side_by_side.py); JOBS=3 is three
# of them, and JOBS=0 none: all tests in pytest's own process, as -s and --pdb want it.
JOBS ?= logical
SIDE_BY_SIDE = -p tests.side_by_side -n $(JOBS) --maxprocesses 4

# The first Python of those we support; PYTHON=... chooses another.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	"$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo "$$name" && break; done)

.PHONY: help run check format test-unit test test-rl train-example figures bench bench-cost chaos rehearsal image image-check lock docs-settings clean costs

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name what; do printf '  make %-14s %s\n' "$$name" "$$what"; done

run: $(STAMP) ## start the world on this machine: servers, shards, gateways, demo agents (ARGS="--no-demo --shards 3")
	@exec $(BIN)/chunkcrawl up $(ARGS)

check: $(STAMP) ## format, lint, types, import directions, purity of world/
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/lint-imports
	$(BIN)/python -m tests.purity world

format: $(STAMP) ## write the format that `make check` asks for
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test-unit: $(STAMP) ## tests without servers and without Ray; a minute or two
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not services and not ray and $(NOT_LONG)" $(ARGS)

test: $(STAMP) ## all tests but the long ones; starts what it needs
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "$(NOT_LONG)" $(ARGS)

test-rl: $(STAMP) ## all tests of the environments, the long ones too: parity, their wheel on every Python; minutes
	$(BIN)/pytest tests/chunkcrawl_env tests/deploy/test_env_wheel.py $(ARGS)

train-example: build/train/.installed ## train agents to harvest with RLlib, in an environment of its own (6 GB in build/train); minutes
	@build/train/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps ./chunkcrawl_env
	@build/train/bin/python examples/training/train.py $(ARGS)

build/train/.installed: examples/training/requirements.txt chunkcrawl_env/pyproject.toml
	@"$(PYTHON)" -m venv --clear build/train
	@echo "Installing Ray, RLlib and torch into build/train ..."
	@build/train/bin/python -m pip install --quiet --disable-pip-version-check -r examples/training/requirements.txt './chunkcrawl_env[rl]'
	@touch $@

bench: $(STAMP) ## measure; prints figures (tests/bench)
	@for script in tests/bench/bench_*.py; do echo "== $$script"; PYTHONPATH=. $(BIN)/python "$$script"; done

bench-cost: $(STAMP) ## cores by role, cost of a command and of a message, beside the floor; ten minutes (ARGS="--agents 200")
	@PYTHONPATH=. $(BIN)/python -m tests.bench.cost $(ARGS)

costs: $(STAMP) ## measure what `chunkcrawl estimate` and docs/scaling.md go by; a quarter of an hour (ARGS="--only check")
	@PYTHONPATH=. $(BIN)/python -m tests.bench.cost.coefficients $(ARGS)

figures: $(STAMP) ## count rooms, imports and a command's way, for docs/architecture.md
	$(BIN)/python -m tests.figures.codebase
	$(BIN)/pytest -q -s tests/figures/test_command_way.py

chaos: $(STAMP) ## kill, freeze and cut off processes while agents play; minutes
	$(BIN)/pytest -m "slow or chaos" $(ARGS)

rehearsal: $(STAMP) ## back a playing system up, lose it, restore it elsewhere, compare, play on; start worlds of older versions; minutes
	$(BIN)/pytest -s -m slow tests/rehearsal $(ARGS)

image: $(STAMP) ## build the container image, its tags and its SBOM (deploy/build-image says how)
	@BIN=$(BIN) deploy/build-image

image-check: $(STAMP) ## build the image without an engine and run it, alone and as compose.yaml does; as root, minutes
	@BIN=$(BIN) deploy/image-check

lock: $(STAMP) ## pin all dependencies anew, newest first (LOCK_ARGS="--upgrade-package NAME" for one)
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --extra build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --extra build --extra otel --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

docs-settings: $(STAMP) ## write the settings table into README.md
	$(BIN)/python -m config.settings_table README.md

clean: ## remove the environment, caches and builds; the world's data in .data/ stays
	rm -rf $(VENV) build dist *.egg-info sdk/build sdk/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

LOCK_ARGS ?= --upgrade
# For every Python and platform we run on; hashes, so that nothing else can be installed; no address of any index.
LOCK_OPTIONS = --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-emit-package chunkcrawl $(LOCK_ARGS)

$(STAMP): requirements-dev.lock pyproject.toml sdk/pyproject.toml
ifeq ($(strip $(PYTHON)),)
	@echo "No Python 3.11, 3.12 or 3.13 found. Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1
endif
	@# Made anew when it is broken too: moved, half made, or its Python gone.
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	@echo "Installing the locked dependencies into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e ./sdk -e .
	@touch $(STAMP)
