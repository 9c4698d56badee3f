# flowq: everything one does with a checkout. `make help` lists the targets.
#
# A fresh machine needs python3 (3.11 or newer) and make. The environment lives in .venv; it is made by the first target that needs
# it and again only when pyproject.toml changes. Packages come from whatever index pip is configured for.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
# Tests executed at once. They wait as long as they work, so this may be twice the number of processors; with more, those that look at times wait for each other.
JOBS   ?= 4

BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet
# What is imported is compiled then, and the rest of the packages, which is most of them, never: half of the time of their installation.
# Images often forbid Python to write what it has compiled: every process would do it again.
unexport PYTHONDONTWRITEBYTECODE
# Three stamps, each touched when its step is complete: the environment, what running needs, what developing needs on top.
MADE    := $(VENV)/.stamp-made
RUNTIME := $(VENV)/.stamp-run
DEVELOP := $(VENV)/.stamp-dev
# What flowq is compared with has an environment of its own.
PEERS   := .benchmarks/venv/.stamp
PEERPIP := .benchmarks/venv/bin/python -m pip --disable-pip-version-check --quiet install
# Packages that are built on RQ are tried in environments of their own, without rq where flowq stands in for it.
CLIENTS := .clients/.stamp
FLOWS   := examples/flows
# So has the documentation site: its builder takes flowq from the checkout, for the pages that are made from the code.
SITE    := .site/venv/.stamp

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check lint spelling format types contract examples stale collected docs pictures bench clients chaos sweeps engines page servers wheel clean

help: ## list the targets
	@echo "flowq: make <target>    [ARGS='…' goes to the command behind run, test, chaos, sweeps, engines, page, servers and bench]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: $(RUNTIME) ## run the example data pipeline on the embedded server
	@$(BIN)/flowq run $(FLOWS)/penguins/penguins.yaml $(ARGS)
	@$(if $(ARGS),,echo && echo "The report is out/penguins/report.html; the run, in a browser:" && echo "$(BIN)/flowq ui $(FLOWS) --run @latest")

test: $(DEVELOP) $(CLIENTS)-quick ## run the test suite (ARGS='tests/compiler -k matrix' for a part of it)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: types lint spelling contract examples stale collected ## everything that is checked without running tests

lint: $(DEVELOP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

spelling: $(DEVELOP) ## codespell over the pages; the two words that it may not know are mistakes on purpose
	$(BIN)/codespell --ignore-words-list nmae,biuld README.md CONTRIBUTING.md CHANGELOG.md examples/README.md docs

format: $(DEVELOP) ## let ruff rewrite: format, and fixes that are safe
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(DEVELOP) ## mypy --strict over code, tests, benchmarks and examples
	$(BIN)/mypy

contract: $(DEVELOP) ## the import contract of pyproject.toml: who may know whom
	$(BIN)/lint-imports --no-logo

examples: $(DEVELOP) ## compile every example flow
	$(BIN)/flowq validate $(FLOWS)/*.yaml $(FLOWS)/*/*.yaml

stale: $(DEVELOP) ## texts made from the code that are no longer what it says
	$(BIN)/python -m tests.repository.readme --check
	$(BIN)/python -m tests.repository.reference --check
	$(BIN)/python -m tests.repository.states_page --check
	$(BIN)/python -m tests.repository.api_page --check

collected: $(DEVELOP) ## import every test: each process of `make test` needs all of them, and then finds them compiled
	@shown=$$($(BIN)/python -m pytest --collect-only --quiet --quiet 2>&1) || { echo "$$shown"; exit 1; }

docs: $(SITE) ## build the documentation site into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 .site/venv/bin/mkdocs build --quiet
	@echo "open build/site/index.html"

pictures: $(DEVELOP) ## run the example, and a flow on the page, and draw the pictures of the README again
	$(BIN)/python -m tests.repository.pictures
	$(BIN)/python -m tests.page.pictures

bench: $(DEVELOP) $(PEERS) ## compare with RQ, Celery and others, side by side: one table of medians and ratios
	$(BIN)/python -m benchmarks $(ARGS)

clients: $(DEVELOP) $(CLIENTS)-all ## run the tests of packages built on RQ, on RQ and on flowq: one table
	$(BIN)/python -m tests.clients $(ARGS)

chaos: $(DEVELOP) ## a real system under random faults, and what broke (ARGS='--seed 7 --minutes 30')
	$(BIN)/python -m tests.chaos $(ARGS)

sweeps: $(DEVELOP) ## the long sweeps of kills and lost replies, the store's tests without functions, and those of the processes with batch
	$(BIN)/python -m pytest tests/store --without-functions -n $(JOBS) --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest tests/process --isolation batch -n $(JOBS) --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest -m chaos --timeout 1800 $(ARGS)

engines: $(DEVELOP) ## executors on what is there of ssh, Slurm, bwrap, Dask and Ray; what is missing is skipped, with the reason
	@$(PIP) install 'distributed>=2024.1' || echo "not tried: Dask cannot be installed" >&2
	@$(PIP) install 'ray>=2.9' || echo "not tried: Ray cannot be installed" >&2
	$(BIN)/python -m pytest tests/executors -m 'engines or not engines' $(ARGS)

page: $(DEVELOP) ## the page in a browser: Chromium on PATH, else skipped; two files of it are part of `make test`, too
	$(BIN)/python -m pytest tests/page -m 'not chaos' $(ARGS)

servers: $(DEVELOP) ## the tests that talk to a server, and a round of chaos, on Redis 7, on a cluster and behind a Sentinel
	@failed=; for on in "redis7 tests/embedded" cluster sentinel; do \
	    $(BIN)/python -m pytest --server $$on tests/store tests/process tests/chaos -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS) \
	        || failed="$$failed $${on%% *}"; \
	done; test -z "$$failed" || { echo "make servers: tests failed on:$$failed" >&2; exit 1; }

wheel: $(DEVELOP) ## build the wheel into dist/ (from a source archive: nothing of an earlier build gets in)
	$(BIN)/python -m build --outdir dist .

clean: ## remove the environment, caches and everything built
	rm -rf $(VENV) .benchmarks .site .clients build dist out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- the environment -----------------------------------------------------------------------------------------------------------

$(MADE):
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("flowq needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12 …")'
	@echo "making $(VENV) …"
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) -m venv failed: on Debian and Ubuntu python3-venv brings it." >&2; exit 1; }
	@touch $@

$(RUNTIME): pyproject.toml | $(MADE)
	@echo "installing flowq into $(VENV) (once) …"
	@$(PIP) install --no-compile --editable '.[serve]'
	@touch $@

$(DEVELOP): pyproject.toml | $(MADE)
	@echo "installing flowq and the tools for its development into $(VENV) (once) …"
	@$(PIP) install --no-compile --editable '.[dev]'
	@touch $(RUNTIME) $@

$(SITE): docs/requirements.txt pyproject.toml | $(MADE)
	@echo "installing the builder of the documentation into .site (once) …"
	@$(BIN)/python -m venv .site/venv
	@.site/venv/bin/python -m pip --disable-pip-version-check --quiet install --requirement docs/requirements.txt --editable .
	@touch $@

# One that cannot be installed is a dash in the table. What jobs import is on the path of all of them alike.
$(PEERS): benchmarks/peers.txt | $(MADE)
	@echo "installing what flowq is compared with into .benchmarks (once) …"
	@$(BIN)/python -m venv .benchmarks/venv
	@$(PEERPIP) --requirement benchmarks/peers.txt || while read -r peer; do \
	    $(PEERPIP) "$$peer" </dev/null || echo "not compared: $$peer cannot be installed" >&2; \
	done < benchmarks/peers.txt
	@$(PEERPIP) --target .benchmarks/lib --upgrade 'numpy>=2,<3' || echo "no numpy: a part of the standard library stands in for it" >&2
	@touch $@

# Without a package index the tests that need it are skipped, with the reason.
$(CLIENTS)-%: tests/clients/packages.py tests/clients/quick.txt tests/clients/%.txt $(wildcard tests/clients/overlays/*/*/*.py) | $(DEVELOP)
	@echo "installing packages that are built on RQ into .clients (once) …"
	@$(BIN)/python -m tests.clients.environments $*
