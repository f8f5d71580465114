# The commands of this repository. All of them work on a machine with Rust, Python 3.10 or newer and GNU make; whatever else
# they need is put below target/ (or CARGO_TARGET_DIR), never into the machine.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

export CARGO_TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
export PYTHONDONTWRITEBYTECODE := 1

PYTHON ?= python3
PREFIX ?= /usr/local
DENY_VERSION := 0.20.2

DEBUG := $(CARGO_TARGET_DIR)/debug
RELEASE := $(CARGO_TARGET_DIR)/release
VENV := $(CARGO_TARGET_DIR)/venv
TOOLS := $(CARGO_TARGET_DIR)/tools
DENY := $(TOOLS)/cargo-deny-$(DENY_VERSION)
NATS_CLI := $(TOOLS)/nats

# The program that the suites start panics where they ask it to. A release build with this does not compile.
FAULTS := --features callboard/faults

# What the program is told of its surroundings, and what the suites are told besides. The broker is looked for when a
# recipe runs, not before.
SURROUNDINGS = CALLBOARD_CELL="$(DEBUG)/libcallboard_cell.so" CALLBOARD_NATS_SERVER="$$(.ci/nats-server "$(VENV)")"
TOLD = CALLBOARD_BIN="$(DEBUG)/callboard" CALLBOARD_VENV="$(VENV)" $(SURROUNDINGS)

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z][a-z-]*):.*## (.*)/  make \1|\2/p' Makefile | column -t -s '|'

.PHONY: build
build: ## the program and its extension module, in the profile that tests use
	cargo build --workspace --all-targets $(FAULTS) --locked

.PHONY: tools
tools: $(VENV)/ready $(DENY)/bin/cargo-deny ## what check and test need besides Rust and Python: a broker, Python packages, cargo-deny

$(VENV)/ready: tests/requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=/path/to/python3")'
	$(PYTHON) -m venv --clear $(VENV) || { echo "python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r tests/requirements.txt
	touch $@

$(DENY)/bin/cargo-deny:
	CARGO_TARGET_DIR=$(TOOLS)/build cargo install cargo-deny --quiet --locked --version $(DENY_VERSION) --no-default-features --root $(DENY)
	rm -rf $(TOOLS)/build

$(NATS_CLI): tests/real/nats-cli/go.mod tests/real/nats-cli/go.sum
	@command -v go >/dev/null || { echo "the official NATS CLI is built with Go 1.24 or newer: install it from https://go.dev/dl" >&2; exit 1; }
	cd tests/real/nats-cli && go build -mod=readonly -o $@ github.com/nats-io/natscli/nats

.PHONY: check
check: $(DENY)/bin/cargo-deny ## formatting, lints, documents, licences and sources of dependencies; warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features callboard-tests/real,callboard-tests/long --locked -- -D warnings
	cargo clippy --workspace --all-targets $(FAULTS) --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	@# The sources of every platform's dependencies, which a build for this one does not fetch: licences are read there.
	cargo fetch --locked --quiet
	@# Advisories are left out: their database is fetched from a host that not every machine may reach.
	$(DENY)/bin/cargo-deny --offline --locked check bans licenses sources
	$(PYTHON) -c 'import ast, pathlib; [ast.parse(p.read_bytes(), str(p), feature_version=(3, 10)) for d in ("python", "scripts", "tests") for p in pathlib.Path(d).rglob("*.py")]'

.PHONY: check-arm
check-arm: ## lints of the extension module as aarch64 has it; needs rustup target add aarch64-unknown-linux-gnu
	cargo clippy --target aarch64-unknown-linux-gnu -p callboard-cell --locked -- -D warnings

.PHONY: test
test: build $(VENV)/ready ## every suite in its short form: what continuous integration runs after check
	$(TOLD) cargo test --workspace $(FAULTS) --locked
	@shopt -s nullglob; for suite in python/tests/test_*.py tests/security/test_*.py tests/counts/test_*.py; do \
		echo "$$suite"; $(TOLD) $(VENV)/bin/python "$$suite"; done
	$(PYTHON) scripts/check_golden.py

.PHONY: test-real
test-real: build $(VENV)/ready $(NATS_CLI) ## programs of others against a node: the official NATS CLI
	$(TOLD) CALLBOARD_NATS_CLI="$(NATS_CLI)" cargo test --workspace $(FAULTS) --features callboard-tests/real --test real --locked

.PHONY: test-long
test-long: build $(VENV)/ready ## minutes of faults under load
	$(TOLD) cargo test --workspace $(FAULTS) --features callboard-tests/long --test faults --locked -- --nocapture

.PHONY: soak
soak: build $(VENV)/ready ## an hour of mixed load (SOAK_SECONDS): memory, descriptors, cells and p95 by the minute; fails if one grows
	$(TOLD) SOAK_SECONDS="$(or $(SOAK_SECONDS),3600)" cargo test --workspace $(FAULTS) --features callboard-tests/long --test soak --locked -- --nocapture

.PHONY: fuzz
fuzz: ## fuzzers of what a broker says, frames, envelopes, macros, pages and the cell's codec, each FUZZ_SECONDS (60); no nightly compiler is needed
	PYTHON="$(PYTHON)" tests/fuzz/run.sh

.PHONY: test-sanitizers
test-sanitizers: build $(VENV)/ready ## the cell under AddressSanitizer and under a debug interpreter, PYTHON_DEBUG (python3-dbg)
	PYTHON="$(VENV)/bin/python" tests/sanitizers.sh address
	PYTHON="$(VENV)/bin/python" PYTHON_DEBUG="$(or $(PYTHON_DEBUG),$(shell command -v python3-dbg))" $(TOLD) tests/sanitizers.sh debug

.PHONY: bench
bench: $(VENV)/ready ## all figures beside an echo on the same broker, held to docs/benchmarks.md; BENCH=quick or names of parts, ROUNDS=5
	cargo build --workspace --release --locked
	cargo build -p callboard-cell --profile without-lock --features without-lock --locked
	@$(TOLD) CALLBOARD_BIN="$(RELEASE)/callboard" CALLBOARD_CELL="$(RELEASE)/libcallboard_cell.so" \
		CALLBOARD_CELL_WITHOUT_LOCK="$(CARGO_TARGET_DIR)/without-lock/libcallboard_cell.so" \
		BENCH="$(BENCH)" ROUNDS="$(ROUNDS)" BENCH_JSON="$(or $(BENCH_JSON),$(CARGO_TARGET_DIR)/bench.jsonl)" \
		cargo bench --workspace --no-fail-fast --bench load $(if $(BENCH),,--bench scripts --bench site) --locked

CODECS := $(CARGO_TARGET_DIR)/codecs

$(CODECS)/ready: tests/benches/requirements.txt
	$(PYTHON) -m venv --clear $(CODECS)
	$(CODECS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	touch $@

.PHONY: bench-bridge
bench-bridge: $(CODECS)/ready ## what a call across the border of Rust and Python costs, and the codec beside others
	cargo build --workspace --release --locked
	cargo build -p callboard-cell --profile without-lock --features without-lock,bench --lib --example bridge --locked
	@CALLBOARD_CELL="$(RELEASE)/libcallboard_cell.so" CRITERION_HOME="$(CARGO_TARGET_DIR)/criterion" \
		CALLBOARD_BRIDGE="$(CARGO_TARGET_DIR)/without-lock/examples/libbridge.so" $(CODECS)/bin/python python/benches/bridge.py

# Each in an environment of its own; Ray is large and not to be had for every machine.
PEERS := $(CARGO_TARGET_DIR)/peers

$(PEERS)/%/ready: tests/benches/peers/%.txt
	$(PYTHON) -m venv --clear $(PEERS)/$*
	$(PEERS)/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	touch $@

.PHONY: bench-peers
bench-peers: $(VENV)/ready $(PEERS)/peers/ready ## the same functions in FastStream, nats-py, taskiq, Celery and Ray, beside Callboard
	-@$(MAKE) $(PEERS)/ray/ready
	cargo build --workspace --release --locked
	@$(TOLD) CALLBOARD_BIN="$(RELEASE)/callboard" CALLBOARD_CELL="$(RELEASE)/libcallboard_cell.so" BENCH_PEERS="$(PEERS)" \
		BENCH=peers ROUNDS="$(ROUNDS)" BENCH_JSON="$(or $(BENCH_JSON),$(CARGO_TARGET_DIR)/bench-peers.jsonl)" \
		cargo bench --workspace --bench load --locked

.PHONY: demo
demo: ## builds, starts a node of its own, renders a page, runs a utility, stops
	cargo build -p callboard -p callboard-cell --locked
	@.ci/nats-server "$(VENV)" >/dev/null 2>&1 || $(MAKE) $(VENV)/ready
	@$(SURROUNDINGS) $(DEBUG)/callboard demo

.PHONY: install
install: ## release build into PREFIX (/usr/local): bin/callboard and lib/callboard
	cargo build --release -p callboard -p callboard-cell --locked
	install -D -m 755 $(RELEASE)/callboard $(DESTDIR)$(PREFIX)/bin/callboard
	install -D -m 755 $(RELEASE)/libcallboard_cell.so $(DESTDIR)$(PREFIX)/lib/callboard/libcallboard_cell.so

.PHONY: clean
clean: ## removes all that was built or fetched
	rm -rf $(CARGO_TARGET_DIR)
