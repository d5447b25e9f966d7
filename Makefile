# The whole set-up is one virtual environment, made on first use and renewed when its inputs change.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
RESULTS := results
OUT ?= $(RESULTS)/gpu

.PHONY: help gap gpu test proofs coq clean

help: ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

gap: $(READY) ## capture GPT-2, ResNet-50 and U-Net, solve them at six budgets, draw the gap plot
	$(PYTHON) -m hcb_opt reproduce gap --output $(RESULTS)/gap

# Neither environment nor installation: a CUDA machine's own Python has the torch that fits its driver.
gpu: ## measure on this machine's CUDA device in less than ten minutes, with its own python3, into results/gpu or OUT
	@python3 -c 'import sys; from importlib.util import find_spec; \
	    missing = [each for each in ("torch", "triton", "numpy") if find_spec(each) is None]; \
	    sys.exit("make gpu: " + sys.executable + " lacks " + ", ".join(missing) if missing else 0)'
	PYTHONPATH=.$${PYTHONPATH:+:$$PYTHONPATH} python3 -m hcb_opt reproduce gpu --output $(OUT)

test: $(READY) ## all quick tests, lint, types, import rules and proofs
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	@if $(MAKE) --no-print-directory coq; then \
	    $(MAKE) --no-print-directory -j2 -C proofs check; \
	else \
	    echo "proofs skipped: Coq is missing and apt-get cannot install it here"; \
	fi
	$(PYTHON) -m pytest -n 2 -m "not slow and not gpu"

proofs: coq ## check all proofs and build the verified checkers; installs Coq with apt where it is missing
	$(MAKE) -j2 -C proofs check

coq:
	@if ! command -v coqc >/dev/null || ! command -v coqchk >/dev/null || ! command -v ocamlopt >/dev/null; then \
	    command -v apt-get >/dev/null || { echo "make: proofs need coq 8.16 and ocaml, and there is no apt-get to install them" >&2; exit 1; }; \
	    echo "installing coq and ocaml-nox with apt-get"; \
	    as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	    $$as_root apt-get update -qq && $$as_root apt-get install -qq -y --no-install-recommends coq ocaml-nox; \
	fi

clean: ## remove the environment, build products and results
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache $(RESULTS)

$(READY): pyproject.toml constraints.txt
	@set -eu; \
	for python in python3 python3.13 python3.12 python3.11; do \
	    if $$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	        echo "making $(VENV) with $$($$python --version)"; \
	        $$python -m venv $(VENV); \
	        $(PYTHON) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'; \
	        touch $@; \
	        exit 0; \
	    fi; \
	done; \
	echo "make: no usable Python: install Python 3.11, 3.12 or 3.13 with its venv module (on Debian: python3-venv)" >&2; \
	exit 1
