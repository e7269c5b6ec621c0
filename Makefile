# Every target makes what it needs in .venv; on a fresh machine `make demo` or `make test` is the only step.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: demo test lint format test-bridges test-browser test-peers test-long bench docs clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.faltung: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	touch $@

$(VENV)/.test: $(VENV)/.faltung
	$(BIN)/python -m pip install --quiet --group test
	touch $@

$(VENV)/.peers: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group peers
	touch $@

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

$(VENV)/.lint: $(VENV)/.faltung
	$(BIN)/python -m pip install --quiet --group lint
	touch $@

demo: $(VENV)/.faltung
	$(BIN)/faltung demo --output faltung-demo --force

test: $(VENV)/.test
	$(PYTEST) -n 2 -m "not long and not peers and not browser"

test-long: $(VENV)/.test
	$(PYTEST) -n 2 -m "long" --timeout 7200

lint: $(VENV)/.lint $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/sync.py --check

format: $(VENV)/.lint
	$(BIN)/python tools/sync.py
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-bridges:
	@echo "test-bridges: nothing to do yet, faltung has no bridges to other array packages"

test-browser: $(VENV)/.test
	$(PYTEST) -m "browser" tests/draw

test-peers: $(VENV)/.peers
	$(PYTEST) -n 2 -m "peers"

LAYERS := dense pointwise stem "small maps" depthwise grouped 1-D 3-D tiny float64
PICTURES := pictures "large kernels" "uint8 pictures" volumes signals "missing cells" \
  "volume 256x256x256 9x9x9" "volume 256x256x256 9x9x9 Gaussian"
# Threads of NumPy's OpenBLAS spin for 0.14 s after a product; 2^18 cycles are 0.1 ms.
bench: export OPENBLAS_THREAD_TIMEOUT := 18
bench: $(VENV)/.bench
	$(BIN)/faltung bench $(LAYERS) --runs 3 --json benchmarks/results/bench.json --chart docs/images/bench.png
	$(BIN)/faltung bench $(PICTURES) --json benchmarks/results/pictures.json --chart docs/images/pictures.png
	$(BIN)/python benchmarks/compiled.py --json benchmarks/results/compiled.json
	$(BIN)/python benchmarks/start_up.py --json benchmarks/results/start_up.json
	$(BIN)/python benchmarks/ladder.py --json benchmarks/results/ladder.json --chart docs/images/ladder.png --page
	$(BIN)/python benchmarks/scaling.py --json benchmarks/results/scaling.json --chart docs/images/scaling.png --page

docs:
	@echo "docs: nothing to build yet, documentation lives in README.md, docs/ and the docstrings"

clean:
	rm -rf $(VENV) faltung-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
