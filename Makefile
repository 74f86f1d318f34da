# The two commands of the README are `make demo` and `make test`; each creates .venv when it is absent.

# With another busy process on the machine, OpenMP threads that spin while they wait have been 40 times slower.
export OMP_WAIT_POLICY := PASSIVE

BIN := .venv/bin
WORKERS := 2
# Any Python runs the setup, which then looks for 3.11, 3.12 or 3.10; PYTHON=/path/to/python3.11 names one.
SETUP_PYTHON := $(firstword $(foreach name,$(PYTHON) python3 python3.11 python3.12 python3.10 python,$(shell command -v $(name) 2>/dev/null)))

.PHONY: demo test test-largest bench lint setup clean

demo: setup
	$(BIN)/python tools/demo.py

# A file of tests goes to one process, so that what it shares is made once; WORKERS=0 runs all in this one.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests plugins poseig_mm -n $(WORKERS) --dist loadfile --durations=25

# What `make test` leaves out.
test-largest: setup
	$(BIN)/python -m pytest tests plugins -m largest --durations=25

bench: setup
	$(BIN)/python -m pip install --quiet --no-deps captum==0.8.0
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.attribution

# import-linter's cache does not notice a module that appears.
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p poseig_mm
	$(BIN)/lint-imports --no-cache --no-logo

setup:
	@$(if $(SETUP_PYTHON),,echo "setup: Python 3.10, 3.11 or 3.12 is needed, found none: install python3.11" >&2; exit 1;) $(SETUP_PYTHON) tools/setup_env.py

clean:
	rm -rf .venv build dist *.egg-info plugins/*/build plugins/*/*.egg-info work_dirs
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
