# `make demo` and `make test` are all a new user needs; both can be run again and in any order.
# PYTHON: the interpreter to build on. TORCH_INDEX: an index that has torch's CPU builds, if the
# default one has not.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PINNED := -c constraints.txt
TORCH := torch==2.13.0

# Without bytecode each start compiles the package anew, and many tests start the command line.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint bench clean help
help:
	@echo "make demo   install the core into $(VENV) and run every method on a real pair"
	@echo "make test   install the rest, lint and run all tests"
	@echo "make lint   ruff, mypy and the layers of the design"
	@echo "make bench  time and peak memory of each matcher beside OpenCV's"
	@echo "make clean  remove $(VENV) and what the tools left"

demo: $(VENV)/core.done
	$(BIN)/fathom demo -o demo

# A file's tests stay on one worker: what its module prepares is made once.
# A full disk breaks tests in ways that do not look like it, so what is free is said first.
test: $(VENV)/all.done lint
	@df -h . | tail -1
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/all.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/core.done
	$(BIN)/python -m benchmarks.matchers

$(VENV)/core.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet $(PINNED) -e .
	touch $@

# torch comes first and as a CPU build: the plain one brings gigabytes of CUDA. Where no CPU build
# is to be had, the tests that need torch skip and say so.
$(VENV)/all.done: $(VENV)/core.done
	$(PIP) install --quiet $(PINNED) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)+cpu \
	  || echo "no CPU build of torch here: tests that need it will skip (see TORCH_INDEX)"
	$(PIP) install --quiet $(PINNED) -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
