# Two commands, each with its own set-up: `make search` (a finished search on a CPU) and `make test` (all checks).
# Needed on the machine: CPython 3.11 or newer with venv, make, the package registry. `make PYTHON=python3.12 search` picks another.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
HALF := .venv/.half_made

.PHONY: search test fast lint types gpu audit sbom pins setup clean
.DELETE_ON_ERROR:

# Where it is set, every process of pytest compiles every test module again, seconds each time.
unexport PYTHONDONTWRITEBYTECODE

search: $(READY)
	$(BIN)/visiontune search search_spaces/digits.yaml

# mypy has one core, so the fast tests begin beside it. Then two at once: a third starves the workers of searches, which are nice.
test: lint
	$(MAKE) --no-print-directory --jobs=2 types fast
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "heavy or ray"

# The tier without Ray, big networks and killed processes: for every save; `make test` is for every commit. What a GPU is needed for is left
# to `make gpu`, where no two of its tests share one. A file's tests stay together: what they import and make is then there once.
fast: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not ray and not heavy and not gpu"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy --strict

# What only a GPU can show: tests first, then figures whatever those said; at most 10 minutes. In any environment that has torch, torchvision,
# timm, pytest and what training imports: no Ray, no MLflow, no Optuna, no network. Where .venv is not made, by $(PYTHON).
gpu: GPU_PYTHON := $(if $(wildcard $(READY)),$(BIN)/python,$(PYTHON))
gpu: export PYTHONPATH := platform
gpu:
	@$(GPU_PYTHON) -c "import torch; print('torch', torch.__version__, 'sees', torch.cuda.device_count(), 'GPUs')"
	@failed=0; \
	$(GPU_PYTHON) -m pytest -q -rs -p no:cacheprovider -m gpu --durations=10 tests/gpu || failed=1; \
	$(GPU_PYTHON) benchmarks/gpu.py $(GPU_ARGS) || failed=1; \
	exit $$failed

setup: $(READY)

# Known weaknesses of what is installed, by pip-audit, which asks the package index's database: exit code 1 for a finding, and where nobody answers.
audit: $(READY)
	$(BIN)/python .ci/audit.py

# What is installed, as CycloneDX JSON.
sbom: $(READY)
	@mkdir -p build
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json $(BIN)/python
	@echo "build/sbom.json"

# constraints.txt anew after a change of pyproject.toml: the pins that stand there stay where they can (UPGRADE=--upgrade renews all), each
# with the SHA-256 of all its files on the package index. Then `make test`.
UPGRADE =
pins:
	$(PYTHON) -m venv build/pins
	build/pins/bin/python -m pip install --disable-pip-version-check --quiet uv
	build/pins/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --extra dev --generate-hashes --no-annotate \
		--no-emit-package pip --custom-compile-command "make pins" $(UPGRADE) --output-file constraints.txt pyproject.toml

# An environment that an interruption left half made can look whole to pip, so it is built again from nothing. What pip
# itself gives up (no network, pins that contradict each other) it has not begun to install.
# Modules are compiled as they are first imported, a tenth of them: to compile all took half a minute.
# The marker becomes the stamp without a new time: pins that were edited meanwhile count as newer.
$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "visiontune needs CPython 3.11 or newer, but \`$(PYTHON)\` is `$(PYTHON) --version 2>&1`; name another: make PYTHON=python3.12" >&2; exit 1; }
	@if [ -e $(HALF) ]; then echo "the last set-up did not end: starting over"; rm -rf .venv; fi
	@mkdir -p .venv && touch $(HALF)
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@echo "setting up .venv: 2 to 5 minutes, 7 GB of packages"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-compile --require-hashes -r constraints.txt || { rm $(HALF); exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@mv $(HALF) $@

clean:
	rm -rf .venv build platform/*.egg-info
