# `make up` starts the gateway, `make test` tests it; both install what they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# What fails beside others is run once more, alone: an answer that came late only because the machine was
# busy is told from one that is wrong. Both are in the output. $(1): which tests, $(2): how many at once.
# Not those of tests/deploy: a file of them is one walk through a page, of which no step stands alone.
define run_tests
  $(BIN)/pytest $(1) $(2) || { [ $$? -eq 1 ] && \
  echo "Once more, alone, what failed beside others:" && $(BIN)/pytest $(1) --last-failed --maxfail 3; }
endef
ALL_BUSY := -n $$((3 * $$(nproc))) --dist worksteal

.DEFAULT_GOAL := help
# To compile Infergate anew takes a command longer than all else that it does to start.
unexport PYTHONDONTWRITEBYTECODE
DOCS := config.reference_doc:configuration.md config.endpoints_doc:endpoints.md api.dialects.doc:dialects.md \
        metrics.reference_doc:metrics.md admin.openapi:admin-api.openapi.json \
        contract.njs:../src/infergate/nginx/njs/contract.js
.PHONY: help up install docs check deb test e2e test-deploy peers soak bench bench-routing count lint coverage format lock clean

help:  ## Show what there is to make
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(VENV)/.installed: pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Infergate needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing Infergate into $(VENV), once: about half a minute."
	@echo "  1 of 3  a virtual environment"
	@$(PYTHON) -m venv $(VENV)
	@echo "  2 of 3  the packages of requirements.txt"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@echo "  3 of 3  Infergate itself"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements-test.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.txt
	@touch $@

$(VENV)/.installed-e2e: $(VENV)/.installed-test requirements-e2e.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-e2e.txt
	@touch $@

install: $(VENV)/.installed  ## Install Infergate into .venv

up: $(VENV)/.installed  ## Start the gateway in the foreground
	@$(BIN)/infergate up

docs: $(VENV)/.installed  ## Write anew what docs/ has of the code
	@for each in $(DOCS); do \
	  $(BIN)/python -m infergate.$${each%%:*} > docs/.new && mv docs/.new docs/$${each##*:} || exit 1; done
	@$(BIN)/infergate schema > docs/.new && mv docs/.new docs/infergate.schema.json
	@$(BIN)/python -m infergate.config.example_yaml > docs/.new && mv docs/.new infergate.example.yaml
	@$(BIN)/infergate logs schema > docs/.new && mv docs/.new docs/access-line.schema.json

deb: $(VENV)/.installed  ## Make the Debian package, in dist/
	@$(BIN)/infergate deploy deb -o dist

test: $(VENV)/.installed-test  ## Run the unit tests and, on the embedded nginx, those of the gateway
	$(BIN)/python -m tests.engines_ready
	$(BIN)/python -m tests.postgres
	$(BIN)/python -m tests.tools
	@$(call run_tests,tests/unit tests/engine -m 'not debian and not long',$(ALL_BUSY))

e2e: $(VENV)/.installed-e2e  ## Run the rest: real engines and clients, long ones, Debian's nginx
	$(BIN)/python tests/backends/cache.py install vllm embed llamacpp chroma n8n javascript dialects njs
	@$(call run_tests,tests/e2e -m 'not slow',-n 2 --dist loadfile)
	@$(call run_tests,tests/unit tests/engine -m 'debian or (long and not twice)',$(ALL_BUSY))
	INFERGATE_TEST_SUITE=forky $(BIN)/python -m tests.engines_ready
	@export INFERGATE_TEST_SUITE=forky; $(call run_tests,tests/engine -m 'debian and nginx and not long',$(ALL_BUSY))
	$(BIN)/python -m tests.deploy.tools
	$(BIN)/pytest tests/deploy -m 'not slow' -n 2 --dist loadfile

test-deploy: $(VENV)/.installed-test  ## Run containers, the package, LXC and EC2 as their pages say
	$(BIN)/python -m tests.deploy.tools
	$(BIN)/pytest tests/deploy -n 2 --dist loadfile

peers: $(VENV)/.installed-test  ## Run an engine's own tests at it and through the gateway (SUITE=)
	$(BIN)/python -m tests.peers $(SUITE) $(ARGS)

soak: $(VENV)/.installed-e2e  ## Run the long campaigns: faults, slow streams, fair shares, LXC, Ray
	$(BIN)/python -m tests.engines_ready
	$(BIN)/python -m tests.postgres
	$(BIN)/python -m tests.tools
	$(BIN)/python -m tests.deploy.tools
	$(BIN)/python tests/backends/cache.py install vllm llamacpp ray aider guidellm openwebui
	$(BIN)/pytest -s tests/soak
	@$(call run_tests,tests/engine -m 'long and twice',$(ALL_BUSY))
	INFERGATE_TEST_SUITE=forky $(BIN)/python -m tests.engines_ready
	@export INFERGATE_TEST_SUITE=forky; $(call run_tests,tests/engine -m 'requests and not nginx',$(ALL_BUSY))
	$(BIN)/pytest tests/e2e tests/deploy -m slow

bench: $(VENV)/.installed-test  ## Measure CPU per request against raw nginx
	$(BIN)/python -m bench

bench-routing: $(VENV)/.installed-test  ## Measure the time to first token behind routers (ARGS=)
	$(BIN)/python -m bench.routing $(ARGS)

count: $(VENV)/.installed-test  ## Count instructions per request (needs valgrind); fails above 3 % more
	$(BIN)/python -m bench.count

check: lint  ## Lint, and the unit tests that take no time: under a minute
	@$(BIN)/pytest -q tests/unit/config tests/unit/kinds tests/unit/test_configurations.py tests/unit/test_bundle.py \
	  tests/unit/imports tests/unit/ledger tests/unit/state -m 'not long' -n $$(nproc)

lint: $(VENV)/.installed-test  ## Check style, types, the direction of imports, and spelling
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell -D- -D.codespell-glossary

coverage: $(VENV)/.installed-test  ## Say which lines of Python the tests of `make test` do not run
	$(BIN)/coverage erase
	-$(BIN)/coverage run -m pytest tests/unit tests/engine -m 'not debian and not long' $(ALL_BUSY)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered --sort=cover

format: $(VENV)/.installed-test  ## Format the Python files
	$(BIN)/ruff format .

lock:  ## Pin what pyproject.toml asks for (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-header pyproject.toml --extra build -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-header pyproject.toml --extra build --extra test -c requirements.txt -o requirements-test.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-header pyproject.toml --extra build --extra test --extra e2e -c requirements-test.txt -o requirements-e2e.txt
	for tool in cfn-lint checkov gixy-ng sslyze; do echo $$tool | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-header - -o tests/requirements-$${tool%-ng}.txt; done

clean:  ## Remove the virtual environment and the state folder
	rm -rf $(VENV) .infergate
