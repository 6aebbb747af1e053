# `make` prints the targets. Every target sets itself up; nothing needs to be activated.
# A pip whose index gives a CUDA torch that is not wanted takes other options: make setup PIP_OPTIONS='--index-url …'
PYTHON ?= python3
PIP_OPTIONS ?=
WORKERS ?= 2
DATA ?= data
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: help setup demo reproduce reproduce-quick test test-all notebooks check format docs clean

help: ## print the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: .venv/installed ## fill .venv with everything (quick when nothing changed)
	@$(BIN)/python -P kdlight/lazy.py # for type checkers and editors: the public names of every package

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) --constraint constraints.txt --config-settings editable_mode=compat --editable '.[dev]'
	touch $@

demo: setup ## train a teacher on digits, distil from it in four ways, compare; a stopped demo continues
	$(BIN)/kdlight ablate demo.yaml --jobs $(WORKERS)
	$(BIN)/kdlight compare runs/demo --baseline method=none --plot runs/demo/curves.png \
		--columns last,agreement,redundant,unique_teacher,unique_student,information_teacher

# The folder of the data holds CIFAR-10 as published (batches 1, 2 and the test set suffice) and, for `reproduce`, CIFAR-100. The
# weights of published teachers are downloaded into weights/ there if they are missing.
reproduce: setup ## repeat all runs of notebooks/results on CPU cores (a stopped one continues): make reproduce DATA=DIR
	$(BIN)/python -m kdlight.workbench.reproduce "$(DATA)" --jobs $(WORKERS)

reproduce-quick: setup ## repeat the demo and two runs of CIFAR-10, in about ten minutes on two cores: make reproduce-quick DATA=DIR
	$(BIN)/python -m kdlight.workbench.reproduce "$(DATA)" --quick --jobs $(WORKERS)

test: setup ## every formula, and each mechanism at least once
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not slow'

test-all: setup ## test, and the slow mechanisms for everything shipped
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

notebooks: setup ## run the notebooks anew and keep their outputs
	$(BIN)/python -m tests.notebook_runner notebooks/*.ipynb

check: setup ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup ## build the documentation site in site/html; every warning is an error
	$(BIN)/python -m kdlight.workbench.website.build

clean: ## remove what was built; runs and data stay
	rm -rf .venv site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info

# The goals are those of one CPU core; BENCH='--data_dir DIR' takes CIFAR-100 instead of random images.
.PHONY: bench
bench: setup ## time the fit of two pairs beside a bare loop, with a teacher cache, and the data path alone
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m kdlight.workbench.bench.standard $(BENCH)

.PHONY: bench-pid
bench-pid: setup ## time the PID solver, beside dit and cvxpy where `pip install -e '.[bench]'` put them
	OMP_NUM_THREADS=1 $(BIN)/python -m kdlight.workbench.pid_study.solver_benchmark
	OMP_NUM_THREADS=1 $(BIN)/python -m kdlight.workbench.pid_study.solver_benchmark --stage
