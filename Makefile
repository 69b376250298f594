# SPDX-License-Identifier: Apache-2.0
# The two commands that matter: `make run` and `make test`. Both install what they need into .venv.

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.phyfold-installed
BUILD ?= fullycon_w4a4
JOBS  ?= 2
# Not the scripts in $(BIN): their first lines have the checkout's path, which a shell reads.
CLI   := $(BIN)/python -m fpga_builds.cli
PIP   := $(BIN)/python -m pip --disable-pip-version-check --no-input

# The first Python of at least 3.11 that can make a virtual environment; PYTHON=... overrides.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
  $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
  && { echo $$p; break; }; done)

export MPLBACKEND := Agg

.PHONY: run test results lint format type table bench lock install tools clean

run: tools install
	$(CLI) run $(BUILD)

test: tools install
	PHYFOLD_REQUIRE_TOOLS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests

lint: install
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: install
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

# Every build with many frames or samples, then the README's table: hours. Interrupted, it goes on.
FRAMES ?= 100000
SAMPLES ?= 500
results: tools install
	for build in fpga_builds/fullycon_*/build.toml; do \
	  $(CLI) run $$build --frames $(FRAMES) || exit 1; done
	for build in fpga_builds/conv*/build.toml; do \
	  $(CLI) run $$build --samples $(SAMPLES) || exit 1; done
	$(MAKE) table

table: install
	$(BIN)/python -m fpga_builds.table

bench: tools install
	$(BIN)/python -m pytest -s tests/bench

install: $(STAMP)

# A stamp stands for a finished installation: one that broke half-way is taken up again, and a new
# lock file is installed over the old one. torch comes with its own dependencies, so that the CPU
# build and the CUDA build both work; everything else is exactly what the lock file names.
$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "phyfold: no Python 3.11 or newer with the venv module was" \
	  "found on PATH. Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it:" \
	  "make PYTHON=/path/to/python3.11" >&2; exit 3; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; ok = v >= (3, 11); \
	  ok or print(f"phyfold: $(PYTHON) is Python {v.major}.{v.minor}: needs 3.11 or newer." \
	  " Name another one: make PYTHON=/path/to/python3.11", file=sys.stderr); sys.exit(not ok)'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@rm -f $@
	$(PIP) install -q "$$(grep '^torch==' requirements.lock)" -c requirements.lock
	$(PIP) install -q --no-deps -r requirements.lock
	PYTHONWARNINGS=ignore $(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

# Verilator's output is C++, compiled here by the system's compiler.
tools:
	@for t in $${PHYFOLD_CXX:-g++} $${PHYFOLD_MAKE:-make} $${PHYFOLD_PERL:-perl}; do \
	  command -v $$t >/dev/null 2>&1 || { echo "phyfold: $$t was not found on PATH, and the" \
	  "simulation needs it. Debian, Ubuntu: apt install g++ make perl" >&2; exit 3; }; done

# Pins what is installed now; the lock file names versions alone (no index, no path, no build tag).
lock:
	{ echo "# Installed by the Makefile, see there. Written by 'make lock'."; \
	  $(PIP) freeze --all --exclude-editable | grep -E '^[A-Za-z0-9_.-]+==' | grep -vE '^(pip|phyfold)==' \
	  | sed -E 's/\+[A-Za-z0-9.]+$$//' | LC_ALL=C sort -f; } > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean:
	rm -rf build
