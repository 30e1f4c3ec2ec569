# `make demo` and `make test` each work from a bare clone: they make .venv and install what they need.

PYTHON ?= python3
# Small matrices: threads of linear algebra would only spin, and wait for one another.
export OPENBLAS_NUM_THREADS := 1
VENV := .venv
BIN := $(VENV)/bin
# One stamp an installation, newer than the files it was made from.
STAMP := $(VENV)/installed

# Tests run in parallel, each worker with one thread: more would wait for one another.
WORKERS ?= 2
# A worker that dies ends the run with the name of its test: replaced, pytest-xdist 3.8 would wait for it forever.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder \
	--max-worker-restart=0
QUICK := -m "not (slow or integration or browser or service)"

.PHONY: demo test quick test-lowest test-newest lint types layers unit quick-unit docs findings hooks bench mutation clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar off --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/qdsizer-stream demo --out demo

test: lint types layers unit

# The fast loop: about a minute on two quiet cores once mypy's cache is warm.
quick: lint types layers quick-unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

unit: $(STAMP)
	$(PYTEST)

quick-unit: $(STAMP)
	$(PYTEST) $(QUICK)

# The quick tests with every dependency at the lowest version that pyproject.toml allows, in an environment of
# their own; and with the newest of each, as a user's `pip install` finds them.
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) .ci/lower_bounds.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --progress-bar off \
		--constraint .venv-lowest/constraints.txt --editable '.[dev]'
	$(MAKE) quick-unit BIN=.venv-lowest/bin STAMP=

test-newest:
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --progress-bar off --upgrade \
		--editable '.[dev]' 'torch==2.13.0'
	$(MAKE) quick-unit BIN=.venv-newest/bin STAMP=

# Pictures and notebooks are made again first, where the shipped model has changed.
docs: $(STAMP)
	$(BIN)/python docs/redraw.py
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build

# What other libraries do, on their own: each script installs pinned packages into a temporary folder. Not part of CI.
findings:
	for script in findings/*.sh; do echo "== $$script"; $$script || exit 1; done

hooks: $(STAMP)
	$(BIN)/pre-commit install

bench: $(STAMP)
	for name in debye_engine reduction sizing_speed live_path closed_loop; do \
		$(BIN)/python -m benchmarks.$$name || exit 1; done

# Does a test fail when one line of the code changes? Some hours for 300 lines, one process. Not part of CI.
MUTANTS ?= 150
mutation: $(STAMP)
	nice $(BIN)/python .ci/mutation.py --number $(MUTANTS)

clean:
	rm -rf $(VENV) .venv-lowest .venv-newest demo docs/_build
