import ApusCore
import ApusData
import ApusTesting
import InMemoryTracing
import Metrics
import MetricsTestKit
import Testing
import Tracing

@testable import ApusJobs

@Suite(.timeLimit(.minutes(10))) struct TelemetryTests {
    private let lab = JobLab()
    private let worker = Greeter { job, _ in
        if job.name == "Bob" { throw AppError(.unavailable, "Not now.") }
        if job.name == "Eve" { throw JobDecision.discard("Unwanted.") }
    }

    @Test(arguments: TestDatabase.available)
    func `Enqueued jobs and attempts are counted and measured`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database, clock: SystemClock()) { _, database in
            let metrics = TestMetrics()
            let queue = JobQueue(database, metrics: metrics)
            let ids = [
                try await queue.enqueue(Greet(name: "Ada")).id, try await queue.enqueue(Greet(name: "Eve")).id,
            ]
            try await queue.enqueue(
                contentsOf: (0..<3).map { _ in Greet(name: "Bob") }, JobOptions(delay: .seconds(900)))
            try? await database.transaction {
                try await queue.enqueue(Greet(name: "Ada"))
                throw CancellationError()
            }
            let runner = lab.runner(queue, worker)
            let run = Task { try await runner.run() }
            for id in ids { try await queue.wait(for: id) }
            run.cancel()
            try await run.value
            let dimensions = [("job", "greet"), ("queue", "default")]
            #expect(try metrics.expectCounter("jobs.enqueued", dimensions).totalValue == 5)
            func attempts(_ outcome: String) throws -> Int64 {
                try metrics.expectCounter("jobs.attempts", dimensions + [("outcome", outcome)]).totalValue
            }
            #expect(try attempts("completed") == 1)
            #expect(try attempts("discarded") == 1)
            #expect(try metrics.expectTimer("jobs.attempt.duration", dimensions).values.count == 2)
            #expect(try metrics.expectTimer("jobs.latency", dimensions).values.allSatisfy { $0 >= 0 })
        }
    }

    @Test(arguments: TestDatabase.available)
    func `The depth of queues and the age of their oldest job are measured`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database) { _, database in
            let metrics = TestMetrics()
            let queue = JobQueue(database, clock: lab.clock, metrics: metrics)
            for _ in 0..<3 { try await queue.enqueue(Greet(name: "Ada")) }
            lab.clock.setDate(by: .seconds(90))
            let measured = try #require(queue.metrics)
            measured.waiting(try await queue.statistics())
            let dimensions = [("queue", "default")]
            #expect(try metrics.expectGauge("jobs.available", dimensions).lastValue == 3)
            #expect(try metrics.expectGauge("jobs.oldest.age", dimensions).lastValue == 90)
            measured.waiting([])
            #expect(try metrics.expectGauge("jobs.available", dimensions).lastValue == 0)
            #expect(try metrics.expectGauge("jobs.oldest.age", dimensions).lastValue == 0)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `An attempt belongs to the trace of the task that has enqueued its job`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { _, database in
            let tracer = InMemoryTracer()
            let queue = JobQueue(database, clock: lab.clock, tracer: tracer)
            try await tracer.withSpan("request") { _ in
                _ = try await queue.enqueue(Greet(name: "Ada"))
                try await queue.enqueue(contentsOf: [Greet(name: "Bob"), Greet(name: "Bob")])
            }
            #expect(try await lab.runner(queue, worker).runAvailable() == 3)
            let spans = tracer.finishedSpans
            let root = try #require(spans.first { $0.operationName == "request" })
            let sent = spans.filter { $0.operationName == "enqueue greet" }
            let performed = spans.filter { $0.operationName == "process greet" }
            #expect(sent.map(\.kind) == [.producer, .producer])
            #expect(performed.map(\.kind) == [.consumer, .consumer, .consumer])
            #expect(Set(spans.map(\.traceID)) == [root.traceID])
            #expect(performed.map(\.parentSpanID) == [sent[0].spanID, sent[1].spanID, sent[1].spanID])
            #expect(performed.map(\.errors.count) == [0, 1, 1])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `An attempt at a job without a trace, or with one that cannot be read, begins a trace`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { plain, database in
            for _ in 0..<2 { try await plain.enqueue(Greet(name: "Ada")) }
            let last = try await plain.enqueue(Greet(name: "Ada")).id
            try await database.execute("UPDATE apus_job SET trace = '{' WHERE id = \(last)")
            let tracer = InMemoryTracer()
            let queue = JobQueue(database, clock: lab.clock, tracer: tracer)
            #expect(try await lab.runner(queue, worker).runAvailable() == 3)
            #expect(Set(tracer.finishedSpans.map(\.traceID)).count == 3)
        }
    }
}
