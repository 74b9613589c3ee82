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
            let measured = try #require(queue.metrics.current)
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
    func `Later attempts, delayed jobs and jobs of jobs begin a trace with a link`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { _, database in
            let tracer = InMemoryTracer()
            let queue = JobQueue(database, clock: lab.clock, tracer: tracer)
            let worker = Greeter { job, context in
                switch job.name {
                case "fails": if context.attempt == 1 { throw AppError(.unavailable, "Not now.") }
                case "snoozes": if context.job.fence == 1 { throw JobDecision.snooze(.seconds(10)) }
                case "enqueues": try await queue.enqueue(Greet(name: "Ada"))
                default: break
                }
            }
            try await tracer.withSpan("request") { _ in
                for name in ["fails", "snoozes", "enqueues"] { try await queue.enqueue(Greet(name: name)) }
                try await queue.enqueue(Greet(name: "delayed"), JobOptions(delay: .seconds(5)))
            }
            _ = try await lab.runner(queue, worker).runAvailable()
            lab.clock.advance(by: .seconds(60))
            _ = try await lab.runner(queue, worker).runAvailable()
            let spans = tracer.finishedSpans.filter { $0.operationName == "process greet" }
            let root = try #require(tracer.finishedSpans.first { $0.operationName == "request" })
            let (children, linked) = (
                spans.filter { $0.traceID == root.traceID }, spans.filter { $0.traceID != root.traceID }
            )
            #expect(children.count == 3 && children.allSatisfy(\.links.isEmpty))
            #expect(linked.count == 4 && linked.allSatisfy { $0.links.count == 1 && $0.parentSpanID == nil })
            // Snoozing is no failure.
            #expect(spans.map(\.errors.count).reduce(0, +) == 1)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `An attempt at a job that somebody cancels is counted as cancelled`(database: TestDatabase) async throws {
        try await lab.withQueue(on: database, clock: SystemClock()) { _, database in
            let metrics = TestMetrics()
            let queue = JobQueue(database, metrics: metrics)
            let (starts, start) = AsyncStream.makeStream(of: Void.self)
            let worker = Greeter { _, _ in
                start.yield()
                try await Task.sleep(for: .seconds(3600))
            }
            let runner = lab.runner(queue, worker)
            let run = Task { try await runner.run() }
            let id = try await queue.enqueue(Greet(name: "Ada")).id
            for await _ in starts { break }
            try await queue.cancel(id)
            let dimensions = [("job", "greet"), ("queue", "default"), ("outcome", "cancelled")]
            while (try? metrics.expectCounter("jobs.attempts", dimensions)) == nil { await Task.yield() }
            #expect(try metrics.expectCounter("jobs.attempts", dimensions).totalValue == 1)
            run.cancel()
            try await run.value
        }
    }

    @Test(arguments: TestDatabase.available)
    func `The age of a job that waited for others begins when they are completed`(
        database: TestDatabase
    ) async throws {
        try await lab.withQueue(on: database) { queue, _ async throws in
            let first = try await queue.enqueue(Greet(name: "Ada")).id
            try await queue.enqueue(Greet(name: "Ada"), JobOptions(after: [first]))
            let process = try await StubProcess(queue)
            let claimed = try #require(try await process.claim(1).first)
            lab.clock.setDate(by: .seconds(6 * 3600))
            _ = try await queue.store.store([Outcome(job: claimed, kind: .completed)])
            lab.clock.setDate(by: .seconds(2))
            #expect(try await queue.statistics().map(\.latency) == [.seconds(2)])
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
