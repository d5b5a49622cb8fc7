# What there is to do with a checkout. `make demo` to look, `make test` to be sure, `make check`
# before handing anything in.

CHROMIUM ?= /usr/bin/chromium
NODE_PROJECTS := tests/oidc-provider tests/grpc tests/journey
HOSTILE_VENV := target/hostile-venv
# Who has a release build goes on with it, brought up to date; otherwise the quicker one is made.
RELEASE := target/release/vestibule
SOAK_SECONDS ?= 1800
FUZZ_SECONDS ?= 600
# All of them when empty.
FUZZ_TARGETS ?=

.PHONY: help demo test golden soak mutants journey hostile check fmt clippy deny doc bench bench-peers instructions pgo fuzz fuzz-smoke fuzz-check fuzz-tools \
	node-projects chromium tools

help:
	@echo 'make demo    look at it: a gateway, a local PingOne and a service, on this machine'
	@echo 'make test    all tests, in a browser, too; installs what they need'
	@echo 'make hostile what clients do that mean harm: raw HTTP/2, floods, slow ones, WebSockets'
	@echo 'make soak    the golden invariant for half an hour, with an eye on memory and descriptors'
	@echo 'make mutants shows that the golden invariant notices faults'
	@echo 'make check   fmt, clippy, fuzz-check, test, deny, doc'
	@echo 'make bench   the gateway against a bare Pingora proxy; bench-peers: others beside them'
	@echo 'make instructions   instructions per request against those that are kept'
	@echo 'make pgo     a release build guided by a profile'
	@echo 'make fuzz    fuzzing, FUZZ_SECONDS for each of FUZZ_TARGETS'

# Names everything that is missing at once, with the line that installs it.
tools:
	@missing=''; packages=''; \
	command -v cargo >/dev/null || missing="$$missing cargo (https://rustup.rs)"; \
	command -v cc >/dev/null || { missing="$$missing cc"; packages="$$packages gcc"; }; \
	command -v cmake >/dev/null || { missing="$$missing cmake"; packages="$$packages cmake"; }; \
	if [ -n "$$missing" ]; then \
		echo "missing:$$missing" >&2; \
		[ -z "$$packages" ] || echo "on Debian: apt-get install$$packages" >&2; \
		exit 1; \
	fi

demo: tools
	@if [ -x $(RELEASE) ]; then cargo build --release && exec $(RELEASE) demo; \
	else cargo build && exec target/debug/vestibule demo; fi

test: tools node-projects chromium
	@command -v faketime >/dev/null || { echo 'missing: faketime; on Debian: apt-get install faketime' >&2; exit 1; }
	cargo test --all-features
	$(MAKE) golden
	$(MAKE) journey
	$(MAKE) hostile

# A minute of people sharing connections; optimised, or too little would happen in it.
golden: tools
	@for patch in tests/mutants/*.patch; do \
		git apply --check "$$patch" || { echo "$$patch no longer fits the source: refresh it" >&2; exit 1; }; \
	done
	cargo test --profile swift --test golden_invariant

soak: tools
	GOLDEN_SECONDS=$(SOAK_SECONDS) cargo test --profile swift --test golden_invariant

mutants: tools
	bash tests/mutants/run.sh

journey: node-projects chromium
	cargo build
	CHROMIUM=$(CHROMIUM) bash tests/journey/run.sh

# HOSTILE=full: sizes and times of the contract, half an hour, meant for VESTIBULE=target/release/vestibule.
hostile: tools $(HOSTILE_VENV)/installed
	@command -v slowhttptest >/dev/null || { echo 'missing: slowhttptest; on Debian: apt-get install slowhttptest' >&2; exit 1; }
	@command -v openssl >/dev/null || { echo 'missing: openssl; on Debian: apt-get install openssl' >&2; exit 1; }
	cargo build
	ulimit -n "$$(ulimit -Hn)" && cd tests/hostile && ../../$(HOSTILE_VENV)/bin/python -B -m pytest -q --tb=short -p no:cacheprovider

$(HOSTILE_VENV)/installed: tests/hostile/requirements.txt
	@python3 -c 'import venv, ensurepip' 2>/dev/null || { echo 'missing: venv for Python; on Debian: apt-get install python3-venv' >&2; exit 1; }
	python3 -m venv $(HOSTILE_VENV)
	$(HOSTILE_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

node-projects: $(NODE_PROJECTS:%=%/node_modules/.package-lock.json)

%/node_modules/.package-lock.json: %/package-lock.json
	@command -v npm >/dev/null || { echo 'missing: node and npm; on Debian: apt-get install nodejs npm' >&2; exit 1; }
	cd $* && npm ci --no-fund --no-audit
	@touch $@

chromium:
	@if [ ! -x $(CHROMIUM) ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; \
		else \
			echo 'missing: chromium; on Debian: apt-get install chromium' >&2; exit 1; \
		fi; \
	fi

check: fmt clippy fuzz-check test deny doc

fmt:
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml

clippy: tools
	cargo clippy --all-targets --all-features -- -D warnings

deny:
	@command -v cargo-deny >/dev/null || { echo 'missing: cargo-deny; cargo install cargo-deny --locked' >&2; exit 1; }
	cargo deny check bans licenses sources

doc: tools
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --all-features

bench: tools
	cargo bench --bench compare

bench-peers: tools
	bash benches/peers.sh
	cargo bench --bench compare -- --peers

instructions: tools
	@command -v valgrind >/dev/null || { echo 'missing: valgrind; on Debian: apt-get install valgrind' >&2; exit 1; }
	cargo bench --bench compare -- instructions

pgo: tools
	bash benches/pgo.sh

fuzz: fuzz-tools
	fuzz/run.sh $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# What CI does: every corpus again, then a look around.
fuzz-smoke: fuzz-tools
	fuzz/run.sh 20 $(FUZZ_TARGETS)

# They are a workspace of their own, which the other commands don't see.
fuzz-check: fuzz-tools
	cargo check --manifest-path fuzz/Cargo.toml

fuzz-tools: tools
	@command -v cargo-fuzz >/dev/null || { echo 'missing: cargo-fuzz; cargo install cargo-fuzz --locked' >&2; exit 1; }
	@command -v c++ >/dev/null || { echo 'missing: c++; on Debian: apt-get install g++' >&2; exit 1; }
