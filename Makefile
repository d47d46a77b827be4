# `make help` says what there is. VENV, LANE, JOBS, TORCH and TORCH_INDEX may be set on the command
# line.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV ?= .venv
LANE ?=
JOBS ?= 2
TORCH ?= auto
BIN := $(abspath $(VENV))/bin
READY := $(VENV)/ready

export PATH := $(BIN):$(PATH)
export DVC_SITE_CACHE_DIR := $(CURDIR)/.dvc/site
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export GX_ANALYTICS_ENABLED := false

.PHONY: help setup demo test lint format pipeline metrics ui report clean

help: ## this list
	@echo "make TARGET; the two to start with are demo and test"
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1\t/' | expand -t 14

setup: $(READY) ## create .venv with the locked dependencies (TORCH=cpu|cuda forces one)

$(READY): requirements/lock-cpu.txt requirements/lock-cuda.txt scripts/setup.sh
	@PYTHON=$(PYTHON) VENV=$(VENV) TORCH=$(TORCH) TORCH_INDEX="$(TORCH_INDEX)" scripts/setup.sh
	@touch $@

demo: $(READY) ## the whole pipeline on the embedded phantom (LANE=leukemia for one lane)
	@tissuetrace repro --jobs $(JOBS) $(LANE)
	@python scripts/headline.py $(LANE)

test: $(READY) ## every test
	@pytest -n 2 --dist loadfile

lint: $(READY) ## format, rules, types, and whether dvc.yaml says what the code says
	@ruff format --check .
	@ruff check .
	@mypy
	@tissuetrace pipeline --check

format: $(READY) ## format the code and mend what can be mended
	@ruff format .
	@ruff check --fix .

pipeline: $(READY) ## write dvc.yaml, data/README.md and the README's table from the declarations
	@tissuetrace pipeline --write
	@python scripts/headline.py --write

metrics: $(READY) ## today's numbers, and what changed since the last commit
	@dvc metrics show
	@dvc metrics diff

ui: $(READY) ## MLflow's pages on loopback
	@tissuetrace ui

report: $(READY) ## write the reports again where something changed, and say where they are
	@dvc repro $(if $(LANE),$(LANE)-report)
	@ls reports/*/index.html

clean: ## remove the environment and what tools left; data, cache and runs stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
