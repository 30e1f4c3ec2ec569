# `make demo` and `make test` each work from a bare clone: they make .venv and install what they need.

PYTHON ?= python3
# Small matrices: threads of linear algebra would only spin, and wait for one another.
export OPENBLAS_NUM_THREADS := 1
VENV := .venv
BIN := $(VENV)/bin
# One stamp an installation, newer than the files it was made from.
STAMP := $(VENV)/installed

.PHONY: demo test lint types layers unit docs findings hooks bench clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar off --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/qdsizer-stream demo --out demo

test: lint types layers unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/python -m pytest

docs: $(STAMP)
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build

# What other libraries do, on their own: each script installs pinned packages into a temporary folder. Not part of CI.
findings:
	for script in findings/*.sh; do echo "== $$script"; $$script || exit 1; done

hooks: $(STAMP)
	$(BIN)/pre-commit install

bench: $(STAMP)
	for name in debye_engine reduction sizing_speed live_path closed_loop; do \
		$(BIN)/python -m benchmarks.$$name || exit 1; done

clean:
	rm -rf $(VENV) demo docs/_build
