# Two commands do everything on a machine with Python 3.11 and make: `make serve` and `make test`.
PYTHON ?= python3.11
PORT ?= 8080
BIN := .venv/bin
SREC := $(BIN)/srec
DEMO := demo

.DELETE_ON_ERROR:
.PHONY: help install serve demo release test check openapi fuzz faults audit clean

help:  ## Show this text
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/installed  ## Make the environment in .venv

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv/shipping: .venv/installed  # the tools that check image, chart and workflow: large, and nothing serves with them
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ship]'
	touch $@

serve: model_store/srec.mar  ## Serve the demo model (made on first use) until Ctrl-C
	@exec $(SREC) serve --mar model_store/srec.mar --port $(PORT)

demo: model_store/srec.mar  ## Make the demo model and its archive

$(DEMO)/reviews/reviews.csv: | .venv/installed
	$(SREC) demo-data --out $(DEMO)/reviews

$(DEMO)/data/manifest.json: $(DEMO)/reviews/reviews.csv
	$(SREC) prepare --reviews $(DEMO)/reviews/reviews.csv --games $(DEMO)/reviews/games.jsonl --tag-width 48 --out $(DEMO)/data

$(DEMO)/run/run.json: $(DEMO)/data/manifest.json
	$(SREC) train --data $(DEMO)/data --preset tiny --out $(DEMO)/run --resume

$(DEMO)/artifact/manifest.json: $(DEMO)/run/run.json
	$(SREC) export --run $(DEMO)/run --out $(DEMO)/artifact

model_store/srec.mar: | .venv/installed
	@test -e $(DEMO)/artifact/manifest.json || $(MAKE) --no-print-directory $(DEMO)/artifact/manifest.json
	$(SREC) archive --artifact $(DEMO)/artifact --out model_store

release: model_store/srec.mar .venv/shipping  ## The demo's archive built again, bill of materials, checksums: dist/; SIGN_KEY=FILE signs
	rm -rf dist
	$(SREC) export --run $(DEMO)/run --out dist/artifact
	$(SREC) archive --artifact dist/artifact --out dist $(if $(SIGN_KEY),--sign $(SIGN_KEY))
	cmp model_store/srec.mar dist/srec.mar  # unlike only when the first is of other code: make clean
	mv dist/artifact/manifest.json dist/manifest.json && rm -r dist/artifact
	$(BIN)/python deploy/sbom.py dist/srec.mar dist/srec.cdx.json
	cd dist && sha256sum -- * > SHA256SUMS

test: install .venv/shipping  ## Run every test; they start their own servers
	$(BIN)/pytest

check: install .venv/shipping  ## Style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

openapi: install  ## Write docs/openapi.json anew
	$(SREC) openapi --out docs/openapi.json

fuzz: install  ## Thousands of drawn requests against a live service; set FUZZ_EXAMPLES for more
	FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),2000) $(BIN)/pytest --timeout 0 tests/line/test_api.py -k drawn_requests

faults: model_store/srec.mar  ## What visitors see of every fault, under load: results/reliability (15 minutes)
	@test -e $(DEMO)/artifact/manifest.json || $(MAKE) --no-print-directory $(DEMO)/artifact/manifest.json
	$(BIN)/python -m tests.faults.table --artifact $(DEMO)/artifact --out results/reliability

audit: install  ## Look every pinned package up in the database of known vulnerabilities
	$(PYTHON) -m venv .audit
	.audit/bin/python -m pip install --quiet pip-audit==2.10.1
	.audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

clean:  ## Remove the demo, the archive and caches; the environment stays
	rm -rf $(DEMO) dist .audit model_store/*.mar model_store/*.sig .mypy_cache .ruff_cache .pytest_cache build *.egg-info
