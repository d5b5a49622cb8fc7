# What there is to do with a checkout. `make demo` to look, `make test` to be sure, `make check`
# before handing anything in.

CHROMIUM ?= /usr/bin/chromium
NODE_PROJECTS := tests/oidc-provider tests/journey
# Who has a release build goes on with it, brought up to date; otherwise the quicker one is made.
RELEASE := target/release/vestibule
SOAK_SECONDS ?= 1800

.PHONY: help demo test golden soak mutants journey check fmt clippy deny doc bench node-projects chromium tools

help:
	@echo 'make demo    look at it: a gateway, a local PingOne and a service, on this machine'
	@echo 'make test    all tests, in a browser, too; installs what they need'
	@echo 'make soak    the golden invariant for half an hour, with an eye on memory and descriptors'
	@echo 'make mutants shows that the golden invariant notices faults'
	@echo 'make check   fmt, clippy, test, deny, doc'
	@echo 'make bench   benchmarks'

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

test: tools node-projects
	cargo test --all-features
	$(MAKE) golden
	$(MAKE) journey

# A minute of people sharing connections; optimised, or too little would happen in it.
golden: tools
	cargo test --profile swift --test golden_invariant

soak: tools
	GOLDEN_SECONDS=$(SOAK_SECONDS) cargo test --profile swift --test golden_invariant

mutants: tools
	bash tests/mutants/run.sh

journey: node-projects chromium
	cargo build
	CHROMIUM=$(CHROMIUM) bash tests/journey/run.sh

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

check: fmt clippy test deny doc

fmt:
	cargo fmt --check

clippy: tools
	cargo clippy --all-targets --all-features -- -D warnings

deny:
	@command -v cargo-deny >/dev/null || { echo 'missing: cargo-deny; cargo install cargo-deny --locked' >&2; exit 1; }
	cargo deny check bans licenses sources

doc: tools
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --all-features

bench: tools
	cargo bench --bench compare
