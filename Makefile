# Everything a person types in this checkout. `make` alone prints this list.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
ARGS ?=
NATIVE := heronshim/_native.c hatch_build.py
EITHER := tests/unit/instance tests/unit/testing tests/compat tests/vectors
# Many tests wait; files, so that what a file shares is made once.
TWO := --numprocesses=2 --dist=loadfile
RUNS ?= 5
MINUTES ?= 3
SEED ?=
SECONDS_PER_TARGET ?= 30

.PHONY: help setup demo test sim fuzz fmt lint proto bench recovery soak java lock

help: ## Print this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 16
	@echo '  options: PYTHON=/path/to/python3 for .venv; ARGS="..." for demo, test, sim, bench and recovery'

setup: .venv/dev.stamp ## Install system packages (or say how), make .venv with all development tools
	@.ci/system-packages protobuf-compiler gcc libc6-dev default-jdk-headless maven

demo: .venv/run.stamp ## Count the words of a real text on two containers; run-time packages only
	@$(BIN)/heronshim demo $(ARGS)

test: .venv/dev.stamp ## Run all tests, those of the per-tuple path with and without the native module
	@.ci/system-packages gcc libc6-dev default-jdk-headless maven
	@$(BIN)/pytest $(or $(ARGS),$(TWO))
	@if [[ -z "$(ARGS)" ]]; then HERONSHIM_NATIVE=0 $(BIN)/pytest $(TWO) $(EITHER); fi

sim: .venv/dev.stamp ## Run 20,000 simulated clusters under random faults; ARGS="--story SEED" shows one
	@$(BIN)/python -m tests.sim $(ARGS)

fuzz: .venv/dev.stamp ## Breed inputs for each decoder, SECONDS_PER_TARGET (30); ARGS="hello credit" chooses
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS_PER_TARGET) $(if $(SEED),--seed $(SEED)) $(ARGS)

fmt: .venv/dev.stamp ## Format and mend what can be mended by machine
	@$(BIN)/ruff format && $(BIN)/ruff check --fix

lint: .venv/dev.stamp ## Check style, types, layers, protocol files and generated code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	.ci/wire --check
	.ci/native

proto: ## Generate heronshim/wire/v1 from proto/
	@.ci/wire

bench: .venv/dev.stamp ## Measure throughput, latency and memory; prints and stores the figures
	@$(BIN)/python -m bench $(ARGS)

recovery: .venv/dev.stamp ## Kill, stop and starve each process, RUNS times (5); writes docs/recovery.md
	@.ci/system-packages gcc libc6-dev
	@$(BIN)/python -m bench.faults.recovery --runs $(RUNS) $(ARGS)

soak: .venv/dev.stamp ## Random faults for MINUTES (3); SEED=n repeats them
	@.ci/system-packages gcc libc6-dev
	@$(BIN)/python -m bench.faults.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

java: ## Build the Java instance: instances/java/target/heronshim-instance.jar
	@.ci/java build

lock: .venv/dev.stamp ## Write requirements/*.txt anew from pyproject.toml
	@.ci/lock

.venv/run.stamp: requirements/run.txt requirements/build.txt pyproject.toml $(NATIVE)
	@.ci/venv run

.venv/dev.stamp: requirements/dev.txt requirements/build.txt pyproject.toml $(NATIVE)
	@.ci/venv dev
