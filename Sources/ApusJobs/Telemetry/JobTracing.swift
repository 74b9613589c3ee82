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
            return try await body(carrier.isEmpty ? nil : try JSONText.text(of: carrier))
        }
    }

    /// Performs an attempt in a span of kind `consumer`, in the trace of the task that has enqueued the job.
    func performing(_ job: JobRecord, _ body: () async throws -> Void) async throws {
        guard let tracer else { return try await body() }
        var context = ServiceContext.topLevel
        if let text = job.trace,
            let carrier = try? JSON.Decoder.standard.decode([String: String].self, from: Array(text.utf8))
        {
            tracer.extract(carrier, into: &context, using: Propagation())
        }
        try await tracer.withAnySpan("process \(job.kind)", context: context, ofKind: .consumer) { span in
            describe(span, "process", job.queue)
            span.attributes["messaging.message.id"] = job.id.description
            span.attributes["apus.job.attempt"] = job.attempt
            try await body()
        }
    }

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
