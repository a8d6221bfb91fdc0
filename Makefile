# The commands of this repository. `make` alone lists them.
PYTHON ?= python3
SCOPE ?=
CLAIM ?= demo
# Where PyTorch's build without CUDA comes from; used where no NVIDIA device is seen. Empty: take PyPI's build.
TORCH_INDEX ?= $(shell command -v nvidia-smi >/dev/null 2>&1 || echo https://download.pytorch.org/whl/cpu)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PINNED := -c deploy/constraints/runtime.txt -c deploy/constraints/dev.txt
WORKERS ?= 2
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: help setup demo test check fix bench evidence clean
help:
	@echo "make setup            create .venv with pinned versions and the metaevo command"
	@echo "make demo             watch a small model evolve by itself (ten minutes, two cores)"
	@echo "make test             run what this machine can; SCOPE=full runs everything"
	@echo "make check            formatting, lints, types, layers, generated pages, evidence"
	@echo "make fix              format, fix lints, write generated pages"
	@echo "make bench            speed and memory, as ratios to a plain script"
	@echo "make evidence CLAIM=… renew tests/evidence/<claim>.json: demo, null, planted, protection, writer, years, kernels"

setup: $(VENV)/made

$(VENV)/made: pyproject.toml deploy/constraints/runtime.txt deploy/constraints/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "metaevo needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(PIP) install -q $(PINNED) --no-deps --extra-index-url $(TORCH_INDEX) --retries 0 --timeout 15 torch)
	$(PIP) install -q $(PINNED) -e '.[dev]'
	@touch $@
	@echo "ready: $(BIN)/metaevo"

demo: setup
	$(BIN)/metaevo demo

# Each file goes whole to one worker, so that what takes seconds to make is made once, in the order of tests/conftest.py.
# The groups of --dist loadgroup have no effect: pytest-xdist 3.8 writes them where pytest 9.2 does not read them, and
# every test was dealt out singly.
# Containers need the machine for themselves: with SCOPE=full their tests come after the others, one at a time.
# There pytest's 5 says that ARGS chose none of them.
test: setup
	@failed=0; \
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not $(if $(filter full,$(SCOPE)),containers,full)" $(ARGS) || failed=1; \
	$(if $(filter full,$(SCOPE)),$(BIN)/python -m pytest -q -m containers $(ARGS) || test $$? = 5 || failed=1;) \
	exit $$failed

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy metaevo objectives sandbox services
	$(BIN)/lint-imports
	$(BIN)/python -m tests.architecture.documents
	$(BIN)/python -m tests.evidence.record

fix: setup
	$(BIN)/ruff check --fix -q . || true
	$(BIN)/ruff format -q .
	$(BIN)/python -m tests.architecture.documents --write

bench: setup
	$(BIN)/python -m tests.benchmarks $(ARGS)

evidence: setup
	$(BIN)/python -m tests.evidence.$(CLAIM) $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
