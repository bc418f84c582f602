# The one door for developer acts. `make` alone prints what there is.
# Everything here works offline once dependencies are fetched, touches only this folder, and needs
# a Rust toolchain (rust-toolchain.toml names it), a C compiler and, for examples and benches,
# Python 3.9 or newer with venv.

CARGO ?= cargo
PYTHON ?= python3
export PYTHONDONTWRITEBYTECODE = 1

VENV := .venv
UNSKEWED := target/release/unskewed
QUICKSTART := examples/quickstart
SHOP := examples/shop

.DEFAULT_GOAL := help
.PHONY: help build release check fmt lint doc tidy test venv compile quickstart quickstart-check \
	shop bench feast conformance fuzz deny clean

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build everything in the dev profile
	$(CARGO) build --workspace --all-targets

release: ## build the command with optimisation: target/release/unskewed
	$(CARGO) build --release --bin unskewed

check: fmt lint doc tidy ## formatting, lints, documentation, house rules; what a change must pass besides tests

fmt: ## formatting, checked and not changed (`cargo fmt --all` changes it)
	$(CARGO) fmt --all --check

lint: ## clippy, every warning an error
	$(CARGO) clippy --workspace --all-targets -- -D warnings

doc: ## rustdoc of every crate, broken links are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

tidy: ## house rules: dependency edges, words per folder, headers, lengths, links
	$(CARGO) test -p unskewed-tests --test tidy

test: ## all tests
	$(CARGO) test --workspace --no-fail-fast

conformance: ## only the cases recorded from the reference engine
	$(CARGO) test -p unskewed-tests --test conformance

fuzz: ## property tests with many more random cases (CASES=100000)
	PROPTEST_CASES=$(or $(CASES),100000) $(CARGO) test --release -p unskewed-planner \
	  -p unskewed-kernel -p unskewed-connectors -p unskewed-engine

venv: $(VENV)/.examples ## Python packages of the examples, into .venv

$(VENV)/.examples: examples/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 9))' || { \
	  echo "Python 3.9 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { \
	  echo "Python has no venv module; on Debian: apt-get install -y python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --no-deps -r examples/requirements.txt
	@touch $@

compile: venv ## compile the definitions of the examples anew
	@for conf in examples/quickstart/definitions:joins/flights/delays.py \
	    examples/shop/definitions:joins/shop/training_set.py \
	    benches/definitions:joins/perf/queries.py; do \
	  root=$${conf%%:*}; echo "compiling $$root/$${conf##*:}"; \
	  PYTHONPATH=$$root $(VENV)/bin/python $(VENV)/bin/compile.py --yes --force-overwrite \
	    --chronon_root $$root --conf $${conf##*:} >$(VENV)/compile.log 2>&1 \
	    || { cat $(VENV)/compile.log; exit 1; }; done

$(QUICKSTART)/warehouse/.input: $(QUICKSTART)/make_input.py $(VENV)/.examples
	$(VENV)/bin/python $(QUICKSTART)/make_input.py $(QUICKSTART)/warehouse
	@touch $@

$(SHOP)/warehouse/.input: $(SHOP)/make_input.py $(VENV)/.examples
	$(VENV)/bin/python $(SHOP)/make_input.py $(SHOP)/warehouse
	@touch $@

quickstart: release $(QUICKSTART)/warehouse/.input ## a training table from 336,776 real flights, and the same features served
	$(UNSKEWED) --warehouse $(QUICKSTART)/warehouse join \
	  --conf-path $(QUICKSTART)/definitions/production/joins/flights/delays.v1 \
	  --end-date 2014-01-01
	@$(VENV)/bin/python examples/show.py $(QUICKSTART)/warehouse quickstart.flights_delays_v1 \
	  --columns flight_id,origin,carrier,tail,label,ts,flights_departures_by_route,flights_weather,flights_planes,aircraft
	@$(VENV)/bin/python $(QUICKSTART)/online.py $(UNSKEWED) $(QUICKSTART)

quickstart-check: $(VENV)/.examples ## compute features of the quickstart again, slowly, and compare
	$(VENV)/bin/python $(QUICKSTART)/check.py $(QUICKSTART)/warehouse

shop: release $(SHOP)/warehouse/.input ## the second example: a small shop
	$(UNSKEWED) --warehouse $(SHOP)/warehouse join \
	  --conf-path $(SHOP)/definitions/production/joins/shop/training_set.v1 --end-date 2024-03-30
	@$(VENV)/bin/python examples/show.py $(SHOP)/warehouse training.shop_training_set_v1

$(VENV)/.benches: benches/requirements.txt $(VENV)/.examples
	$(VENV)/bin/python -m pip install --quiet -r benches/requirements.txt
	@touch $@

bench: $(VENV)/.benches ## measure the engine beside the limit and others (BENCH="--help" says more)
	$(CARGO) build --release --bin unskewed --bin limit
	$(VENV)/bin/python benches/run.py $(BENCH)

$(VENV)/feast/.installed: engine/cli/tests/feast/requirements.txt
	$(PYTHON) -m venv $(VENV)/feast
	$(VENV)/feast/bin/python -m pip install --quiet -r engine/cli/tests/feast/requirements.txt
	@touch $@

feast: $(VENV)/feast/.installed ## features through Feast's own SDK (downloads 200 MB of it into .venv)
	$(CARGO) test -p unskewed --test feast -- --nocapture

deny: ## licences and advisories of dependencies (needs `cargo install --locked cargo-deny`)
	@$(CARGO) deny --version >/dev/null 2>&1 || { \
	  echo "cargo-deny is not installed; install it with: cargo install --locked cargo-deny"; exit 1; }
	$(CARGO) deny check

clean: ## remove what builds and examples made
	$(CARGO) clean
	rm -rf .venv examples/*/warehouse examples/*/input examples/*/kv
