# `make demo` and `make test` need python3 (3.11 or newer) and make, nothing else: they set up .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes among which the tests' files are shared out.
JOBS ?= 2

.PHONY: demo test lint clean bench
.DEFAULT_GOAL := test

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Clearsight needs Python 3.11 or newer; this is $$($(PYTHON) -V). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

demo: $(VENV)/installed
	$(BIN)/clearsight demo --out demo

test: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(JOBS) --dist loadfile

bench: $(VENV)/installed
	$(BIN)/python bench/evaluate.py
	$(BIN)/python bench/readme_evaluation.py

clean:
	rm -rf $(VENV) demo
