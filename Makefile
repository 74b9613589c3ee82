# The most important commands are `make run` and `make test`. Both install missing packages first.

EXAMPLES := delivery-tracker
# The products to build: the test bundle and all executables. A build without `--product` would also compile protoc, which
# is part of SwiftProtobuf.
PRODUCTS := apusPackageTests $(EXAMPLES) bench-data bench-jobs bench-parts bench-server fuzz-parsers interop-server protoc-gen-apus sqlite-writer
# SwiftPM passes a package's traits to the compiler in the order of a hash table. Without a fixed seed, that order changes
# from build to build, and whole packages are compiled again for no reason (SwiftPM's issue 10525, fixed in Swift 6.4).
BUILD := SWIFT_DETERMINISTIC_HASHING=1 swift build
SOURCES := Package.swift Sources Tests Examples Benchmarks Fuzzing

.PHONY: run test test-minimal test-clients test-asan test-tsan chaos fuzz build bench bench-data bench-jobs lint format docs setup

setup:
	@Scripts/bootstrap

run:
	@echo "[1/3] Looking for the system's packages."
	@Scripts/bootstrap
	@echo "[2/3] Building the delivery tracker. The first time, this takes several minutes."
	$(BUILD) --product delivery-tracker
	@echo "[3/3] Starting it with simulated drivers."
	.build/debug/delivery-tracker --simulator-enabled --auth-password-cost=14

# Without a bound, all tests begin at once: on a slow machine, each then waits so long for its turn that real deadlines,
# such as that of an idle transaction, expire.
BOUNDED := SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=16

# The tests of the clients of Postgres and Redis run after the others: the servers that they start, break and restart would
# take the processor from tests with real deadlines.
SERVERS := ApusPostgresTests|ApusRedisTests

test: setup
	@Scripts/bootstrap-tests || echo "The tests that need a server that is not installed are skipped."
	@set -e; for product in $(PRODUCTS); do $(BUILD) --product $$product; done
	$(BOUNDED) swift test --skip-build --skip "$(SERVERS)"
	$(BOUNDED) swift test --skip-build --filter "$(SERVERS)"
	.build/debug/fuzz-parsers Fuzzing/Corpus 20000

# The tests of modules that process untrusted input, which are run with AddressSanitizer and ThreadSanitizer.
SANITIZED := ApusServerTests|ApusHTTPTests|ApusJSONTests|ApusWebSocketTests
# Leak detection is off, because NIOSSL and XCTest do not free some objects before the process exits.
test-asan: setup
	$(BUILD) --product apusPackageTests --sanitize address --scratch-path .build/asan
	$(BOUNDED) ASAN_OPTIONS=detect_leaks=0 swift test --skip-build --sanitize address --scratch-path .build/asan --filter "$(SANITIZED)"

test-tsan: setup
	$(BUILD) --product apusPackageTests --sanitize thread --scratch-path .build/tsan
	$(BOUNDED) TSAN_OPTIONS=suppressions=Scripts/tsan-suppressions swift test --skip-build --sanitize thread --scratch-path .build/tsan --filter "$(SANITIZED)"

# Builds an app for REST alone, without gRPC, protobuf and zstd.
test-minimal: setup
	Scripts/test-minimal

# Runs test clients, such as a hostile HTTP/2 client, against a running server.
test-clients: setup
	Tests/Clients/run

# Kills, freezes and cuts off the processes that perform 100,000 jobs.
chaos: setup
	@Scripts/bootstrap-tests
	@set -e; for product in apusPackageTests bench-jobs; do $(BUILD) --product $$product; done
	CHAOS_JOBS=100000 swift test --skip-build --filter ChaosTests

# Runs each fuzz target with two million inputs.
fuzz: setup
	Fuzzing/run 2000000

# Builds one stripped binary per example, in bin/.
build: setup
	@set -e; for example in $(EXAMPLES); do $(BUILD) -c release --static-swift-stdlib --product $$example; done
	@mkdir -p bin
	@for example in $(EXAMPLES); do strip -o bin/$$example .build/release/$$example && ls -lh bin/$$example; done

# Measures the CPU time per request of small routes, and the CPU time, allocations and instructions of the parts of request
# processing.
bench: setup
	Benchmarks/run
	$(BUILD) -c release --product bench-parts --static-swift-stdlib
	.build/release/bench-parts
	Benchmarks/allocations
	Benchmarks/instructions

# Measures the clients of SQLite, Postgres and Redis beside their peers, on servers that it starts and stops.
bench-data: setup
	Benchmarks/run-data

# Measures the job queue on SQLite and Postgres.
bench-jobs: setup
	Benchmarks/run-jobs

lint:
	swift format lint --strict --recursive --parallel $(SOURCES)

format:
	swift format --in-place --recursive --parallel $(SOURCES)

# Builds the API reference of all modules as static sites in .build/documentation.
docs: setup
	Scripts/build-docs
