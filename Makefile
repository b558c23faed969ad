# Every target sets up what it needs, from nothing: Python >= 3.11, make and access to the package indexes are enough.
# What a target has installed is remembered by a stamp file inside the environment, so the next run starts at once.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
PY   := $(VENV)/bin/python
BIN  := $(VENV)/bin
# Compiling everything beforehand would double the time; Python compiles what it imports.
PIP_INSTALL := -m pip --quiet --disable-pip-version-check install --no-compile

# What pytest compiles of the tests is kept for the next run: it takes a third of a minute in each of its processes.
export PYTHONDONTWRITEBYTECODE :=

# Extra arguments, for instance: make test PYTEST_ARGS="-x -k version"
PYTEST_ARGS ?=
BENCH_ARGS  ?=
RELEASE_ARGS ?=
FUZZ_ARGS   ?=
# More test processes than cores: many tests wait for a server, a time limit or a child. Each of them collects all tests,
# which takes it half a minute, so there are not too many either. None is given many tests at once: it would have the slow ones alone.
PARALLEL ?= -n 4 --maxschedchunk 64

# The other versions of CPython that `make test-matrix` tries; each one only where the machine has it.
MATRIX ?= 3.12 3.13

# What needs neither Java nor a long time. `make test-local` and `make soak` run the rest.
NO_JAVA := not local and not soak
# The unit suites: no engine is started and no checker is run, so another Python is tested within seconds.
UNIT    := $(NO_JAVA) and not engine and not typing and not bench and not once

# Where the tests are that run type checkers: collecting the others would take longer than running these.
TYPED   := tests/test_typing.py tests/expressions/test_expression_typing.py tests/cli/test_init.py

.PHONY: help
help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 15

# -------------------------------------------------------------------------------------------------------- environments

$(VENV)/.created:
	@python="$$(scripts/find_python.sh)" && echo "creating $(VENV) with $$python" && "$$python" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed-demo: $(VENV)/.created pyproject.toml
	@echo "installing dynamorm-py[demo] into $(VENV)"
	@$(PY) $(PIP_INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.installed-service: $(VENV)/.created pyproject.toml
	@echo "installing dynamorm-py[service] into $(VENV)"
	@$(PY) $(PIP_INSTALL) --editable '.[service]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml
	@echo "installing dynamorm-py[dev] into $(VENV)"
	@$(PY) $(PIP_INSTALL) --editable '.[dev]'
	@touch $(VENV)/.installed-demo $(VENV)/.installed-service $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	@echo "installing dynamorm-py[bench] into $(VENV)"
	@$(PY) $(PIP_INSTALL) --editable '.[bench]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.created pyproject.toml
	@echo "installing dynamorm-py[docs] into $(VENV)"
	@$(PY) $(PIP_INSTALL) --editable '.[docs]'
	@touch $@

# An environment of its own: what builds a release must not depend on what the tests need.
.venv-release/.installed: $(VENV)/.created pyproject.toml
	@echo "installing dynamorm-py[release] into .venv-release"
	@$(PY) -m venv --clear .venv-release
	@.venv-release/bin/python $(PIP_INSTALL) --editable '.[release]'
	@touch $@

.PHONY: setup
setup: $(VENV)/.installed-dev  ## create .venv with everything a contributor needs

.PHONY: clean
clean:  ## remove the environments, caches and downloads
	rm -rf $(VENV) .venv-3.* .venv-release .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------------------------------------------------------- runs

.PHONY: demo
demo: $(VENV)/.installed-demo  ## payments under contention and a lossy network, with the proof table
	$(PY) -m examples.demo

.PHONY: payments
payments: $(VENV)/.installed-service  ## the payment service of examples/payments on an engine inside the process
	$(PY) -m examples.payments

.PHONY: stranger
stranger: $(VENV)/.created  ## from the wheel to the page of a new project in a bare environment, with the time of each step
	$(PY) scripts/strangers_path.py --pictures build/stranger

.PHONY: test
test: $(VENV)/.installed-dev  ## everything that needs no Java; what type checkers say of programs is part of `make lint`
	$(PY) -m pytest -m "$(NO_JAVA) and not typing" $(PARALLEL) $(PYTEST_ARGS)

.PHONY: test-local
test-local: $(VENV)/.installed-dev  ## the engine and lossy-proxy suites on DynamoDB Local (needs Java)
	$(PY) scripts/dynamodb_local.py check
	DYNAMODB_LOCAL_HOME="$$($(PY) scripts/dynamodb_local.py path)" DYNAMORM_TEST_ENGINE=local \
	    $(PY) -m pytest -m "(engine or local) and not soak and not typing" $(PARALLEL) $(PYTEST_ARGS)

.PHONY: test-matrix
test-matrix: $(MATRIX:%=test-on-%)  ## the unit suites on the other versions of CPython that this machine has

# A version that is missing is a printed line, never a failure.
.PHONY: test-on-%
test-on-%:
	@if ! python="$$(scripts/find_python.sh $* 2>/dev/null)"; then echo "CPython $*: not on this machine, skipped"; exit 0; fi; \
	if [ ! -e .venv-$*/.installed-test ] || [ pyproject.toml -nt .venv-$*/.installed-test ]; then \
	    echo "CPython $*: installing dynamorm-py[test] into .venv-$*"; \
	    "$$python" -m venv --clear .venv-$*; \
	    .venv-$*/bin/python $(PIP_INSTALL) --editable '.[test]'; \
	    touch .venv-$*/.installed-test; \
	fi; \
	echo "CPython $*: the unit suites"; \
	.venv-$*/bin/python -m pytest -m "$(UNIT)" $(PARALLEL) $(PYTEST_ARGS)

.PHONY: test-unit
test-unit: $(VENV)/.installed-dev  ## all cases of the unit suites on this Python: what the newest would take, where the machine has none
	DYNAMORM_TEST_WIDE=1 $(PY) -m pytest -m "$(UNIT)" $(PARALLEL) $(PYTEST_ARGS)

.PHONY: soak
soak: $(VENV)/.installed-dev  ## the suites that run for minutes on purpose (the last of them need Java)
	DYNAMORM_TEST_WIDE=1 $(PY) -m pytest -m "wide and not engine and not local" $(PARALLEL) $(PYTEST_ARGS)
	$(PY) -m pytest -m "soak and not local" --timeout 0 $(PYTEST_ARGS)
	$(PY) scripts/dynamodb_local.py check
	DYNAMODB_LOCAL_HOME="$$($(PY) scripts/dynamodb_local.py path)" DYNAMORM_TEST_ENGINE=local \
	    $(PY) -m pytest -m "soak and local" --timeout 0 $(PYTEST_ARGS)

# Without the package that guides it, which not every machine has, the inputs are changed at random.
$(VENV)/.installed-fuzz: $(VENV)/.installed-dev
	@echo "installing dynamorm-py[fuzz] into $(VENV)"
	@$(PY) $(PIP_INSTALL) --editable '.[fuzz]' || echo "atheris is not to be had here: inputs are changed at random"
	@touch $@

# How long, for all targets together: make fuzz SECONDS=600
fuzz: SECONDS := 3600
.PHONY: fuzz
fuzz: $(VENV)/.installed-fuzz  ## every parser with inputs that were never seen, for an hour: make fuzz SECONDS=600
	$(PY) -m tests.fuzz --seconds $(SECONDS) $(FUZZ_ARGS)

.PHONY: bench
bench: $(VENV)/.installed-bench  ## speed, memory and lost replies, beside boto3 and the peers (half an hour)
	$(PY) -m benchmarks $(BENCH_ARGS)

# Hours, all in all. MUTATION_ARGS="--sample 200 --seed 1" takes a share; a run that was stopped goes on where it was.
MUTATION_ARGS ?=

.PHONY: mutation
mutation: $(VENV)/.installed-dev  ## mutants of the safety modules meet the tests, and docs/mutation.md is written (hours; MUTATION_ARGS)
	nice -n 10 $(PY) -m scripts.mutation run $(MUTATION_ARGS)
	$(PY) -m scripts.mutation page $(MUTATION_ARGS)

.PHONY: docs
docs: $(VENV)/.installed-docs  ## the documentation, in build/docs/html; a warning is an error
	nice $(PY) -m scripts.docs

.PHONY: release
release: .venv-release/.installed  ## wheel, source distribution, lists of components and checksums of this commit, checked
	.venv-release/bin/python -m scripts.release $(RELEASE_ARGS)

# ---------------------------------------------------------------------------------------------------------------- lint

.PHONY: lint
lint: $(VENV)/.installed-dev  ## ruff, mypy --strict, pyright, generated files, import contracts, typing tests, scans for weaknesses and secrets
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PY) scripts/async_face.py --check
	$(PY) scripts/draw_rooms.py --check
	$(BIN)/lint-imports --cache-dir .cache/import-linter
	@# Each of them has one process that computes, so two at a time take half as long.
	$(MAKE) --no-print-directory -j 2 --output-sync=target lint-mypy lint-pyright lint-scans lint-types
	$(PY) -m pytest -m typing -n 2 $(TYPED) $(PYTEST_ARGS)

.PHONY: lint-mypy lint-pyright lint-scans lint-types
lint-mypy: $(VENV)/.installed-dev
	$(BIN)/mypy

lint-pyright: $(VENV)/.installed-dev
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright

# bandit, detect-secrets, zizmor, and the form of the workflows; the exceptions are in scripts/scans/allowed.txt.
lint-scans: $(VENV)/.installed-dev
	$(PY) -m scripts.scans

# Every public symbol has a known type: pyright --verifytypes.
lint-types: $(VENV)/.installed-dev
	$(PY) -m scripts.release.typed

.PHONY: format
format: $(VENV)/.installed-dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: async-face
async-face: $(VENV)/.installed-dev  ## write the asyncio face anew from the blocking one
	$(PY) scripts/async_face.py

.PHONY: public-names
public-names: $(VENV)/.installed-dev  ## store the list of exported names after a deliberate change
	$(PY) scripts/public_names.py
