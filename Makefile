# Run `make help` for what each target does.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: up test check bench soak screenshots help clean

up: $(INSTALLED) ## install what is missing, start SEMO for this folder, print what to type next
	@$(BIN)/semo up

test: $(INSTALLED) ## ruff, mypy --strict, import-linter and every test, with the counts at the end
	@$(BIN)/python -m tests.run

check: $(INSTALLED) ## the quick half of `make test`: ruff, mypy and import-linter
	@$(BIN)/python -m tests.run --static

bench: $(INSTALLED) ## measured figures: latency of a command beside the floor of its own hops
	@$(BIN)/python -m benchmarks

soak: $(INSTALLED) ## ten agents under kills and freezes, then memory over 20,000 commands; takes a while
	@$(BIN)/python -m tests.soak

screenshots: $(INSTALLED) ## pictures of the console over a real office, into screenshots/
	@$(BIN)/python -m tests.snapshot.screenshots

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 16

clean: ## remove the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("SEMO needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=python3.x.") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
