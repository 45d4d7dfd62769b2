# `make check` is what CI runs. Everything happens in .venv; `make help` lists the targets.
# Only the dependencies may need the network; the checks themselves run offline.

EXTRAS ?= api,data,dev,local,otel,privacy,train,web
PYTEST_ARGS ?=
WORKERS ?= 3
BIN := .venv/bin
WHEEL_TREE := build/wheel
ON_WHEEL = PYTHONPATH=$(CURDIR)/$(WHEEL_TREE) WARDIAN_TESTED_WHEEL=$$(realpath build/dist/wardian-*.whl) \
    $(BIN)/python -P -m
ALONE := -n 0 --last-failed --last-failed-no-failures none --maxfail 5
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
# The checks share build/ and the terminal: one after another, whatever -j says.
.NOTPARALLEL:
.PHONY: help check deps dev format lint types imports wheel test docs bench pins clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: deps lint types imports test  ## everything a change has to pass

deps:  ## install what the checks need into .venv
	@python=$$(scripts/find-python) && "$$python" scripts/install.py --extras "$(EXTRAS)"

dev:  ## the same, with Wardian imported from this source tree
	@python=$$(scripts/find-python) && "$$python" scripts/install.py --extras "$(EXTRAS)" --editable

format:  ## rewrite the sources as ruff formats them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/mypy
	$(BIN)/pyright

imports:
	PYTHONPATH=agent:policies:tools:sandbox $(BIN)/lint-imports

wheel:  ## build the wheel and unpack it into build/wheel
	rm -rf build/dist $(WHEEL_TREE)
	$(BIN)/python -P -m build --wheel --no-isolation --outdir build/dist .
	$(BIN)/python -P -m zipfile -e build/dist/wardian-*.whl $(WHEEL_TREE)

# What failed while the machine was crowded is run once more, alone, and fails or passes there.
test: wheel  ## run the tests against the built wheel
	$(ON_WHEEL) pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS) || \
	    { echo "Failed among others; now alone:"; $(ON_WHEEL) pytest $(ALONE) $(PYTEST_ARGS); }

docs: wheel  ## run the commands and examples of the documentation
	$(ON_WHEEL) pytest tests/docs

bench: wheel  ## measure what docs/benchmarks.md lists
	@for script in $(filter-out %_server.py,$(wildcard bench/*.py)); do \
	    echo "== $$script"; PYTHONPATH=$(CURDIR)/$(WHEEL_TREE) $(BIN)/python -P "$$script"; \
	done

pins:  ## write constraints.txt anew
	$(BIN)/python scripts/pin.py

clean:
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
