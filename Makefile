# Two commands do everything on a fresh machine: `make demo` and `make test`.
# The first of these that is there; pip refuses one that pyproject.toml does not take, and says which it does.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell command -v $(name) 2>/dev/null)) python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-for-tests
INSTALL = { test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); } && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

PHOTOS ?= ../shared/photos
NANO ?= runs/nano
NANO_MINUTES ?= 95
DETECTOR ?= runs/damage
TONE ?= runs/tone
TRUST ?= runs/trust
GPU_PYTHON ?= $(or $(wildcard $(BIN)/python),python3)

.PHONY: demo picture test test-slow test-chaos lint format bench bench-gpu nano detector tone trust install install-demo clean

# The program and what it needs, without test servers and linters: where these are installed, nothing is done again.
install-demo: $(STAMP)

demo: install-demo
	$(BIN)/faitharchive demo demo

# The README's picture, from the demo.
picture: demo
	$(BIN)/python -c "from pathlib import Path; from jobs.samples.demo import front_picture; \
		front_picture(Path('demo')).save('before-after.jpg', quality=88)"

# Two files at a time, a thread each: many tests wait for processes of their own.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not chaos" -n 2 --dist loadfile --no-loadscope-reorder \
		--durations 10

# Whole runs that take minutes each; what they show is shown in parts by `make test`.
test-slow: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow and not chaos" --timeout 3600

# Kills, lost nodes, failing stores and fuzzing at length (its soak of 2,000 items alone takes eight minutes on 2 cores).
test-chaos: install
	$(BIN)/python -m pytest -m chaos --timeout 3600

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

# One GPU with 40 GB or more; random weights, nothing to install or download. `make bench-gpu ONLY=speed` repeats one step.
bench-gpu:
	$(GPU_PYTHON) tests/benchmarks/gpu.py --out runs/gpu $(if $(ONLY),--only $(ONLY))

install: $(TEST_STAMP)

# The shipped network from nothing, by the clock, then into the package. Stopped and started again, it goes on.
nano: install
	$(BIN)/faitharchive train $(PHOTOS)/train $(NANO)/joint --minutes $(NANO_MINUTES) --cache $(NANO)/crops \
		--leave-out faithdiff_model/presets/weights/nano/held-out-photographs.txt
	$(BIN)/python tests/benchmarks/ship_nano.py $(NANO) --hq $(PHOTOS)/train

# A detector of damage from nothing (about four hours on one core), then into the package.
detector: install
	$(BIN)/python tests/benchmarks/train_detector.py $(DETECTOR) --hq $(PHOTOS)/train --val $(PHOTOS)/val \
		--without faithdiff_model/presets/weights/nano/held-out-photographs.txt

# The shipped estimator of tone from nothing (about three minutes on one core), then into the package.
tone: install
	$(BIN)/python tests/benchmarks/train_tone.py $(TONE) --hq $(PHOTOS)/train --val $(PHOTOS)/val \
		--without faithdiff_model/presets/weights/nano/held-out-photographs.txt

# The shipped network of nano's own errors from nothing (about twenty minutes on one core), then into the package.
trust: install
	$(BIN)/python tests/benchmarks/train_trust.py $(TRUST) --hq $(PHOTOS)/train --val $(PHOTOS)/val \
		--without faithdiff_model/presets/weights/nano/held-out-photographs.txt

# pip, with pinned constraints, so that the same set installs on a CPU laptop and on a GPU node.
$(STAMP): pyproject.toml constraints.txt
	$(INSTALL) -e .
	touch $(STAMP)

$(TEST_STAMP): pyproject.toml constraints.txt
	$(INSTALL) -e ".[test,dev]"
	touch $(STAMP) $(TEST_STAMP)

clean:
	rm -rf $(VENV) demo
