# The two commands to know: `make run` and `make test`. Both set up what is missing.

EXAMPLES := delivery-tracker
SOURCES := Package.swift Sources Tests Examples Benchmarks

.PHONY: run test build bench lint format docs setup

setup:
	@Scripts/bootstrap

run: setup
	swift build --product delivery-tracker
	.build/debug/delivery-tracker --simulator-enabled --auth-password-cost=14

test: setup
	swift build --build-tests
	swift test --skip-build

# One stripped binary per example, in bin/.
build: setup
	swift build -c release $(EXAMPLES:%=--product %)
	@mkdir -p bin
	@for example in $(EXAMPLES); do strip -o bin/$$example .build/release/$$example && ls -lh bin/$$example; done

# CPU per request of small routes.
bench: setup
	Benchmarks/run

lint:
	swift format lint --strict --recursive --parallel $(SOURCES)

format:
	swift format --in-place --recursive --parallel $(SOURCES)

# The reference of all modules, as a static site in .build/documentation.
docs: setup
	Scripts/build-docs
