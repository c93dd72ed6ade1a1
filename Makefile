# Everything a developer or CI runs; `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
HAS_NODE = node -e 'process.exit(parseInt(process.versions.node) < 22)' 2>/dev/null

DEPLOY_TOOLS = $(VENV)/deploy/tools
HELM = helm.sh/helm/v3/cmd/helm@v3.19.5
COMPOSE = github.com/compose-spec/compose-go/v2/cmd@v2.9.0

.DEFAULT_GOAL := help
.PHONY: help setup run test check check-deploy bench bench-full clients autobahn schema migrate assets lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "podium needs Python 3.11 or newer: set PYTHON=/path/to/python3.11 and run make again")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "could not make a virtual environment: on Debian or Ubuntu, install python3-venv and run make again" >&2; exit 1; }

$(BIN)/podium: requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing podium's requirements into $(VENV)"
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(BIN)/podium
	@echo "installing the tools for tests and checks into $(VENV)"
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/codegen/.made: requirements-codegen.txt $(VENV)/.dev
	@echo "installing a generator of clients, for tests, into $(VENV)/codegen"
	@$(BIN)/python -m venv $(VENV)/codegen
	@$(VENV)/codegen/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-codegen.txt
	@touch $@

$(VENV)/autobahn/.made: requirements-autobahn.txt $(VENV)/.dev
	@echo "installing the cases of the Autobahn suite into $(VENV)/autobahn"
	@$(BIN)/python -m venv $(VENV)/autobahn
	@$(VENV)/autobahn/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-autobahn.txt
	@touch $@

$(VENV)/node/.made: requirements-node.txt | $(BIN)/python
	@if ! $(HAS_NODE); then \
		echo "installing Node 22, for PostGraphile in benchmarks, into $(VENV)/node"; \
		$(BIN)/python -m venv $(VENV)/node && \
		$(VENV)/node/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-node.txt; \
	fi && mkdir -p $(@D) && touch $@ || echo "no Node 22: measuring without PostGraphile" >&2

$(VENV)/deploy/.made: requirements-deploy.txt | $(BIN)/python
	@echo "installing what reads deploy/ into $(VENV)/deploy"
	@$(BIN)/python -m venv $(VENV)/deploy && mkdir -p $(DEPLOY_TOOLS)
	@$(VENV)/deploy/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-deploy.txt
	@ln -sf ../bin/kubernetes-validate $(DEPLOY_TOOLS)/
	@GOBIN="$(CURDIR)/$(DEPLOY_TOOLS)" go install $(HELM) && GOBIN="$(CURDIR)/$(DEPLOY_TOOLS)" go install $(COMPOSE) \
		&& mv $(DEPLOY_TOOLS)/cmd $(DEPLOY_TOOLS)/compose-spec || echo "no Go: without helm and compose-spec" >&2
	@command -v promtool >/dev/null || (cd $(VENV)/deploy && apt-get download -qq prometheus && dpkg -x prometheus_*.deb . \
		&& ln -sf ../usr/bin/prometheus ../usr/bin/promtool tools/) || echo "no package prometheus: without promtool" >&2
	@touch $@

setup: $(BIN)/podium  ## install podium into .venv (needs Python only)

run: setup  ## serve on http://127.0.0.1:8080 with an embedded Postgres
	@$(BIN)/podium serve

test: $(VENV)/.dev $(VENV)/codegen/.made  ## run the tests
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile $(ARGS)

check: $(VENV)/.dev  ## lint, formatting, types, import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check-deploy: $(VENV)/.dev $(VENV)/deploy/.made  ## have helm, promtool and others read deploy/ (needs Go; promtool from PATH or Debian)
	@PATH="$(CURDIR)/$(DEPLOY_TOOLS):$$PATH" $(BIN)/python -m pytest tests/deploy $(ARGS)

bench: setup $(VENV)/node/.made  ## measure on made-up results, about 3 minutes; ARGS="--only post_stats" or "graphql --only Q2"
	@$(BIN)/podium bench $(ARGS)
	@$(if $(ARGS),,$(BIN)/podium bench graphql)

bench-full: $(VENV)/.dev $(VENV)/node/.made  ## the same on more results and for longer, with 10,000 documents compared and 10,000 requests made up, about 30 minutes
	@$(BIN)/podium bench --full --seconds 10
	@$(BIN)/podium bench growth $(ARGS)
	@$(BIN)/podium bench graphql --rounds 10 --seconds 2
	@PODIUM_DOCUMENTS=10000 PODIUM_REQUESTS=10000 $(BIN)/python -m pytest tests/schema/execution tests/test_garbage.py

clients: setup  ## try public JavaScript clients on a gateway with the demo set (needs Node 20.11 and npm)
	@cd tests/clients && npm ci --silent && PODIUM="$(CURDIR)/$(BIN)/podium" node run.mjs $(ARGS)

autobahn: $(VENV)/autobahn/.made  ## try the WebSockets by the cases of the Autobahn suite, about a minute
	@$(BIN)/python -m tests.autobahn $(VENV)/autobahn/bin/kosoku $(VENV)/autobahn/reports

schema: setup  ## write the GraphQL schema to schema/schema.graphql
	@$(BIN)/podium schema > schema/schema.graphql

migrate: setup  ## bring the database up to date
	@$(BIN)/podium migrate up

assets:  ## build GraphiQL into gateway/static (needs Node 20 and npm; the result is in the repository)
	@cd assets && npm ci && npm run build

lock: $(VENV)/.dev  ## pin the newest allowed requirements, with hashes and without addresses
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --upgrade --no-header pyproject.toml --extra build -o requirements.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header pyproject.toml --extra build --extra otel -c requirements.txt -o requirements-otel.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header pyproject.toml --extra build --extra otel --group dev -c requirements-otel.txt -o requirements-dev.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --upgrade --no-header --group codegen -o requirements-codegen.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --upgrade --no-header --group node -o requirements-node.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --upgrade --no-header --group deploy -o requirements-deploy.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --upgrade --no-header --group autobahn -o requirements-autobahn.txt

clean:  ## remove the environment and caches, never data
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
