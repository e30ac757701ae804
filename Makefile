# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint format bench bench-gpu install clean

demo: install
	$(BIN)/faitharchive demo demo

test: install
	$(BIN)/python -m pytest -m "not slow"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python tests/benchmarks/replica.py --window-batches 1,0 --repeats 8
	$(BIN)/python tests/benchmarks/replica.py --preset small --window-batches 1,0
	$(BIN)/python tests/benchmarks/pipeline.py

# One GPU with 40 GB or more; random weights, nothing to download.
bench-gpu: install
	$(BIN)/python tests/benchmarks/replica.py --preset sdxl --random-weights --device cuda --dtype bfloat16 \
		--modes eager --batches 1,2,4,8
	$(BIN)/python tests/benchmarks/replica.py --preset sdxl --random-weights --device cuda --dtype bfloat16 \
		--modes compiled --batches 1,4 --no-reference --label=-compiled

install: $(STAMP)

# pip with pinned constraints, so that the same set installs on a CPU laptop and on a GPU node.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,dev]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) demo
