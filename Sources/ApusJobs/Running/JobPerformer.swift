import ApusCore
import ApusData
import FoundationEssentials
import Logging

/// Performs attempts, and decides what becomes of their jobs.
final class JobPerformer: Sendable {
    let store: JobStore
    let writer: OutcomeWriter
    let lease: WorkerLease
    let kinds: [String]
    private let workers: [ExactString: AnyWorker]
    private let configuration: JobRunner.Configuration
    private let signal: JobSignal
    private let metrics: JobMetrics.Source
    private let tracing: JobTracing
    private let logger: Logger

    init(_ queue: JobQueue, workers: [any Worker], _ configuration: JobRunner.Configuration, _ logger: Logger) {
        store = queue.store
        signal = queue.signal
        metrics = queue.metrics
        tracing = queue.tracing
        self.logger = logger
        self.configuration = configuration
        let all = workers.map { AnyWorker($0) }
        self.workers = Dictionary(all.map { (ExactString($0.kind), $0) }) { first, _ in first }
        kinds = all.flatMap(\.names)
        writer = OutcomeWriter(store, logger: logger)
        lease = WorkerLease(store, duration: configuration.leaseDuration)
        writer.onStored { [weak self] outcomes, released in
            guard let self else { return }
            freed(outcomes.map(\.job))
            for queue in released { signal.enqueued(in: queue) }
            signal.outcomesStored()
        }
    }

    var isEmpty: Bool { workers.isEmpty }

    /// The names of the queues to which the jobs of the workers belong.
    var queues: Set<String> { Set(workers.values.map(\.queue)) }

    /// Whether workers perform jobs of a queue that belong to groups.
    func hasGroups(in queue: String) -> Bool { workers.values.contains { $0.queue == queue && $0.hasGroups } }

    /// After how long an attempt is given up.
    func limit(of job: JobRecord) -> Duration { timeout(of: job) + configuration.cancellationGrace }

    private func timeout(of job: JobRecord) -> Duration {
        job.timeout ?? workers[ExactString(job.kind)]?.timeout ?? .seconds(60)
    }

    /// Performs one attempt.
    /// - Returns: What becomes of the job; `nil` if the worker has completed it.
    func perform(_ job: JobRecord) async -> Outcome? {
        // The lease may have ended while the job waited for its turn, for example because the process was stopped.
        guard lease.current != nil, let worker = workers[ExactString(job.kind)] else { return giveBack(job) }
        let context = JobContext(job, store: store, signal: signal, logger: logger)
        do {
            try await tracing.performing(job) {
                try await withDeadline(.after(timeout(of: job))) { try await worker.perform(job.arguments, context) }
            }
            return context.isCompleted ? nil : Outcome(job: job, kind: .completed)
        } catch {
            guard !context.isCompleted else { return nil }
            return outcome(of: job, failure: error, worker, context.logger)
        }
    }

    private func outcome(
        of job: JobRecord, failure: any Error, _ worker: AnyWorker, _ logger: Logger
    ) -> Outcome {
        if let decision = failure as? JobDecision {
            switch decision {
            case .snooze(let delay):
                return Outcome(job: job, kind: .again(time(after: delay), counts: false))
            case .wait(let others):
                return Outcome(job: job, kind: .waiting(others))
            case .cancel(let reason):
                logger.info("The job was cancelled.", metadata: ["reason": "\(reason)"])
                return Outcome(job: job, kind: .cancelled, error: Self.storable(reason))
            case .discard(let reason):
                logger.error("The job became a dead letter.", metadata: ["error": "\(reason)"])
                return Outcome(job: job, kind: .discarded, error: Self.storable(reason))
            }
        }
        if Task.isCancelled { return giveBack(job) }
        return failed(job, AppError(wrapping: failure), worker, logger)
    }

    private func failed(_ job: JobRecord, _ error: AppError, _ worker: AnyWorker, _ logger: Logger) -> Outcome {
        let text = Self.storable(error.debugDescription)
        guard error.code.isTransient, job.attempt < job.maxAttempts else {
            logger.error(
                "The job became a dead letter.", metadata: ["error": "\(text)", "attempt": "\(job.attempt)"])
            return Outcome(job: job, kind: .discarded, error: text)
        }
        let delay = max(.zero, worker.delay(job.attempt, error))
        logger.warning(
            "The job failed and will be retried.",
            metadata: ["error": "\(text)", "attempt": "\(job.attempt)", "delay_s": "\(delay.seconds)"])
        return Outcome(job: job, kind: .again(time(after: delay), counts: true), error: text)
    }

    /// A time that can be stored, at most ten years from now.
    private func time(after delay: Duration) -> Date {
        store.clock.now.addingTimeInterval(min(max(0, delay.seconds), 10 * 366 * 86400))
    }

    private func giveBack(_ job: JobRecord) -> Outcome {
        Outcome(job: job, kind: .again(min(job.runAt, store.clock.now), counts: false))
    }

    /// Returns jobs to the queue, uncounted.
    func giveBack(_ jobs: some Sequence<JobRecord>) { writer.add(jobs.map(giveBack)) }

    /// Notifies all processes if jobs that are no longer running allow others to start.
    func freed(_ jobs: [JobRecord]) {
        let queues = Set(jobs.map { ExactString($0.queue) })
        for queue in queues where configuration.queues[queue.text]?.limitsConcurrency == true {
            signal.enqueued(in: queue.text)
        }
    }

    /// Gives up an attempt that ignores its cancellation.
    func abandon(_ job: JobRecord) {
        guard let worker = workers[ExactString(job.kind)] else { return }
        var logger = logger
        logger[metadataKey: "job_id"] = .stringConvertible(job.id)
        logger[metadataKey: "job"] = .string(job.kind)
        let error = AppError(
            .deadlineExceeded,
            "The attempt did not end \(configuration.cancellationGrace.seconds) s after it was cancelled.")
        let outcome = failed(job, error, worker, logger)
        measure(job, outcome.label, after: limit(of: job))
        writer.add([outcome])
    }

    /// Measures an attempt that has ended.
    func measure(_ job: JobRecord, _ outcome: String, after duration: Duration) {
        guard let metrics = metrics.current else { return }
        let waited = Duration.seconds(store.clock.now.timeIntervalSince(job.runAt)) - duration
        metrics.ended(job, outcome, after: duration, latency: max(.zero, waited))
    }

    /// Returns a text as it can be stored: short, and without U+0000.
    private static func storable(_ text: String) -> String {
        // By scalar: U+0000 followed by a combining mark is a different character, which cannot be stored either.
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(4000).filter { $0 != "\0" }))
    }

    func logFailure(_ message: Logger.Message, _ error: any Error) {
        guard !(error is CancellationError) else { return }
        logger.error(message, metadata: ["error": .string(AppError(wrapping: error).debugDescription)])
    }
}
