import ApusCore
import ApusJSON
import ServiceContextModule
import Tracing

/// Carries traces from the task that enqueues a job to the attempts at it.
struct JobTracing: Sendable {
    /// A tracer to use instead of the process-wide one.
    let own: (any Tracer)?

    private var tracer: (any Tracer)? {
        if let own { return own }
        let tracer = InstrumentationSystem.tracer
        return tracer is NoOpTracer ? nil : tracer
    }

    /// Enqueues jobs in a span of kind `producer`.
    /// - Parameter body: Receives the trace context to store with the jobs.
    func enqueuing<Result>(
        _ kind: String, in queue: String, count: Int = 1, _ body: (String?) async throws -> Result
    ) async throws -> Result {
        guard let tracer else { return try await body(nil) }
        return try await tracer.withAnySpan("enqueue \(kind)", ofKind: .producer) { span in
            describe(span, "send", queue)
            if count > 1 { span.attributes["messaging.batch.message_count"] = count }
            var carrier: [String: String] = [:]
            tracer.inject(span.context, into: &carrier, using: Propagation())
            if ServiceContext.current?[IsAttempt.self] == true, !carrier.isEmpty { carrier[Self.linkKey] = "1" }
            return try await body(carrier.isEmpty ? nil : try JSONText.text(of: carrier))
        }
    }

    /// Performs an attempt in a span of kind `consumer`.
    ///
    /// It belongs to the trace of the task that has enqueued the job. A later attempt, an attempt at a delayed job and one at a
    /// job that another job has enqueued begin a trace with a link to that task, so that no trace goes on for days.
    func performing(_ job: JobRecord, _ body: () async throws -> Void) async throws {
        guard let tracer else { return try await body() }
        var origin = ServiceContext.topLevel
        var carrier: [String: String] = [:]
        if let text = job.trace {
            carrier = (try? JSON.Decoder.standard.decode([String: String].self, from: text.utf8)) ?? [:]
            tracer.extract(carrier, into: &origin, using: Propagation())
        }
        let isChild = job.attempt == 1 && job.runAt <= job.createdAt && carrier[Self.linkKey] == nil
        var context = isChild ? origin : ServiceContext.topLevel
        context[IsAttempt.self] = true
        let result = await tracer.withAnySpan("process \(job.kind)", context: context, ofKind: .consumer) { span in
            describe(span, "process", job.queue)
            span.attributes["messaging.message.id"] = job.id.description
            span.attributes["apus.job.attempt"] = job.attempt
            if !isChild, !carrier.isEmpty { span.addLink(SpanLink(context: origin, attributes: [:])) }
            return await outcome(of: body, span)
        }
        try result.get()
    }

    /// Runs an attempt, and records in its span why it has failed. A decision of the worker is no failure.
    private func outcome(of body: () async throws -> Void, _ span: any Span) async -> Result<Void, any Error> {
        do {
            return .success(try await body())
        } catch {
            if !(error is JobDecision), !Task.isCancelled {
                span.recordError(error)
                span.setStatus(SpanStatus(code: .error))
            }
            return .failure(error)
        }
    }

    /// The key in a stored carrier that says that a job was enqueued by another one.
    private static let linkKey = "apus-link"

    /// Sets the attributes of OpenTelemetry's conventions for messaging.
    private func describe(_ span: any Span, _ operation: String, _ queue: String) {
        span.attributes["messaging.system"] = "apus"
        span.attributes["messaging.operation.name"] = operation
        span.attributes["messaging.destination.name"] = queue
    }
}

private struct Propagation: Injector, Extractor {
    func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) { carrier[key] = value }
    func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
}

/// Whether a task performs a job.
private enum IsAttempt: ServiceContextKey {
    typealias Value = Bool
}
