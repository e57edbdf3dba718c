# Needs Python 3.11 or newer with venv, and make. Everything else comes from requirements/*.lock into .venv.

# A name may stand on PATH and still not start (version managers), so each is tried.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
PATHS = ratchet service leader tests bench docs charts
SEED ?= 1
MINUTES ?= 2
TESTS ?= tests
E2E ?= all
DOCKER ?= docker
PYTHON_IMAGE ?= docker.io/library/python:3.11-slim-bookworm
TAG ?= 0.1.0

.PHONY: help run test e2e check reference audit bench bench-leader bench-profile soak lock clean
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.runtime ## Start everything on this machine, with a simulated broker: http://127.0.0.1:8080
	$(BIN)/ratchet run

test: $(VENV)/.dev ## Run the whole suite, on servers that it starts itself (TESTS=path for a part)
	$(BIN)/python -m pytest -n 2 $(TESTS)

check: $(VENV)/.dev ## Lint, formatting, types, and who may import whom
	$(BIN)/ruff check $(wildcard $(PATHS))
	$(BIN)/ruff format --check $(wildcard $(PATHS))
	$(BIN)/mypy --strict $(wildcard $(PATHS))
	$(BIN)/lint-imports

reference: $(VENV)/.dev ## Renew the pages of docs/reference from the code
	$(BIN)/python -m docs.generate

audit: $(VENV)/.dev ## Look for known vulnerabilities in what we depend on
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements/runtime.lock

e2e: $(VENV)/.dev ## Install, load and break the chart on the cluster of KUBECONFIG (E2E=quick or all; see tests/e2e/__init__.py)
	E2E=$(E2E) $(BIN)/python -m pytest -s --durations=0 tests/e2e

bench: $(VENV)/.dev ## Measure, and write docs/performance.md
	$(BIN)/python -m bench --write

bench-leader: $(VENV)/.dev ## Measure leading and its changes on the API server that KUBECONFIG names
	$(BIN)/python -m bench.leader

bench-profile: $(VENV)/.dev ## Show where the time goes
	$(BIN)/python -m bench --profile

soak: $(VENV)/.dev ## Break everything for a while (SEED=1 MINUTES=2), then check every invariant
	$(BIN)/python -m tests.soak --seed $(SEED) --minutes $(MINUTES)

image: ## Build the container image ratchet:$(TAG) (needs docker, or DOCKER=podman)
	$(DOCKER) build --build-arg PYTHON_IMAGE=$(PYTHON_IMAGE) -t ratchet:$(TAG) .
	$(DOCKER) image inspect --format 'ratchet:$(TAG) has {{.Size}} bytes' ratchet:$(TAG)

cluster-up: ## Start a Kubernetes of three workers on this machine (needs docker, kind and kubectl)
	kind create cluster --name ratchet --config k8s/kind.yaml

cluster-down: ## Remove it
	kind delete cluster --name ratchet

deploy: image ## Install the chart there, with a simulated broker, and ask it whether it works (needs helm)
	kind load docker-image --name ratchet ratchet:$(TAG)
	helm upgrade --install ratchet charts/ratchet --namespace ratchet --create-namespace \
		--kube-context kind-ratchet --values k8s/kind-values.yaml --set image.tag=$(TAG) --wait --timeout 5m
	helm test ratchet --namespace ratchet --kube-context kind-ratchet --logs

lock: ## Renew requirements/*.lock from pyproject.toml
	sh requirements/lock.sh "$(PYTHON)"

clean: ## Remove the virtual environment and all caches; keeps RATCHET_HOME
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp tells which lock the environment was built from. The development one holds the runtime one.
$(VENV)/.runtime: requirements/runtime.lock pyproject.toml
	@test -e $(VENV)/.dev || sh requirements/install.sh "$(PYTHON)" $(VENV) requirements/runtime.lock
	@if test -e $(VENV)/.dev; then $(MAKE) --no-print-directory $(VENV)/.dev; fi
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml
	@sh requirements/install.sh "$(PYTHON)" $(VENV) requirements/dev.lock
	@touch $@
