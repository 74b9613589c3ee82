# The two commands to know: `make run` and `make test`. Both set up what is missing.

EXAMPLES := delivery-tracker
# All that is built: the tests' bundle and every executable. A build of "everything" would compile protoc, too, which
# SwiftProtobuf contains.
PRODUCTS := apusPackageTests $(EXAMPLES) bench-parts bench-server fuzz-parsers interop-server protoc-gen-apus
SOURCES := Package.swift Sources Tests Examples Benchmarks Fuzzing

.PHONY: run test test-clients test-asan test-tsan fuzz build bench lint format docs setup

setup:
	@Scripts/bootstrap

run: setup
	swift build --product delivery-tracker
	.build/debug/delivery-tracker --simulator-enabled --auth-password-cost=14

test: setup
	@set -e; for product in $(PRODUCTS); do swift build --product $$product; done
	swift test --skip-build
	.build/debug/fuzz-parsers Fuzzing/Corpus 20000

# The tests of what handles bytes of strangers, with the sanitizers for memory and for threads.
SANITIZED := ApusServerTests|ApusHTTPTests|ApusJSONTests|ApusWebSocketTests
# Leaks are not counted: NIOSSL and XCTest keep a few objects until the end.
test-asan: setup
	swift build --product apusPackageTests --sanitize address --scratch-path .build/asan
	ASAN_OPTIONS=detect_leaks=0 swift test --skip-build --sanitize address --scratch-path .build/asan --filter "$(SANITIZED)"

test-tsan: setup
	swift build --product apusPackageTests --sanitize thread --scratch-path .build/tsan
	TSAN_OPTIONS=suppressions=Scripts/tsan-suppressions swift test --skip-build --sanitize thread --scratch-path .build/tsan --filter "$(SANITIZED)"

# Clients that misbehave, such as a hostile one of HTTP/2, against a running server.
test-clients: setup
	Tests/Clients/run

# Two million hostile inputs for each parser.
fuzz: setup
	Fuzzing/run 2000000

# One stripped binary per example, in bin/.
build: setup
	@set -e; for example in $(EXAMPLES); do swift build -c release --static-swift-stdlib --product $$example; done
	@mkdir -p bin
	@for example in $(EXAMPLES); do strip -o bin/$$example .build/release/$$example && ls -lh bin/$$example; done

# CPU per request of small routes; CPU, allocations and instructions of the parts that a request passes.
bench: setup
	Benchmarks/run
	swift build -c release --product bench-parts --static-swift-stdlib
	.build/release/bench-parts
	Benchmarks/allocations
	Benchmarks/instructions

lint:
	swift format lint --strict --recursive --parallel $(SOURCES)

format:
	swift format --in-place --recursive --parallel $(SOURCES)

# The reference of all modules, as a static site in .build/documentation.
docs: setup
	Scripts/build-docs
