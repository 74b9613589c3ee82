import ApusCore
import ApusData
import ApusJSON
import FoundationEssentials
public import Logging
public import ServiceLifecycle
import Synchronization

/// Runs jobs: claims them as slots become free, renews their leases, and releases the jobs of dead workers.
///
/// As a `Service`, it shuts down gracefully: it stops fetching jobs, waits for the running attempts, cancels those that
/// exceed the time limit, and returns their jobs to the queue without counting the attempt.
public final class JobRunner: Service {
    /// The limits and intervals of a runner.
    public struct Configuration: Sendable {
        /// The maximum number of jobs that run concurrently. 20.
        public var concurrency = 20
        /// The duration of a lease, after which the job of a dead worker can be given to another one. 30 seconds.
        /// Leases are renewed after a third of it.
        public var leaseDuration = Duration.seconds(30)
        /// How often to poll for jobs without a signal: those that become due, and those of other processes.
        /// 1 second.
        public var pollInterval = Duration.seconds(1)
        /// The maximum time that running jobs may take to finish at shutdown. 10 seconds.
        public var shutdownTimeout = Duration.seconds(10)
        /// How long completed jobs are retained. 24 hours.
        public var completedRetention = Duration.seconds(24 * 3600)
        /// How long dead letters are retained. 30 days.
        public var discardedRetention = Duration.seconds(30 * 24 * 3600)

        public init() {}
    }

    private let queue: JobQueue
    private let store: JobStore
    private let workers: [ExactString: AnyWorker]
    private let configuration: Configuration
    private let logger: Logger
    private let stopping = Mutex(false)
    private let running = Mutex<[JobRecord.ID: JobRecord]>([:])

    public init(
        _ queue: JobQueue, workers: [any Worker], configuration: Configuration = Configuration(), logger: Logger
    ) {
        self.queue = queue
        self.configuration = configuration
        self.logger = logger
        store = JobStore(database: queue.database, clock: queue.clock)
        self.workers = Dictionary(workers.map { AnyWorker($0) }.map { (ExactString($0.kind), $0) }) { first, _ in first
        }
    }

    /// Returns an error message for each job name that more than one of the workers performs.
    package static func duplicateNames(of workers: [any Worker]) -> [String] {
        func name<W: Worker>(_ worker: W) -> String { W.Work.name }
        var first: [ExactString: any Worker] = [:]
        return workers.compactMap { worker in
            let name = name(worker)
            guard let other = first[ExactString(name)] else {
                first[ExactString(name)] = worker
                return nil
            }
            return "Jobs named \"\(name)\" have two workers: \(type(of: other)) and \(type(of: worker))."
        }
    }

    /// Runs until the task is cancelled or a graceful shutdown is triggered.
    public func run() async throws {
        guard !workers.isEmpty else { return try await gracefulShutdown() }
        await withTaskGroup(of: Subtask.self) { group in
            group.addTask {
                await self.fetch()
                return .fetching
            }
            group.addTask {
                await self.maintain()
                return .maintenance
            }
            group.addTask {
                try? await gracefulShutdown()
                await self.stop()
                return .stop
            }
            var hasFetched = false
            while let subtask = await group.next() {
                switch subtask {
                case .maintenance: break
                case .fetching: hasFetched = true
                case .stop where !hasFetched: self.logger.info("stopping: time limit reached, cancelling running jobs")
                case .stop: break
                }
                group.cancelAll()
            }
        }
        logger.info("stopping: workers stopped")
    }

    /// Runs all due jobs in the current task until none is left.
    /// - Returns: The number of attempts.
    package func runAvailable() async throws -> Int {
        var count = 0
        while true {
            let jobs = try await claim(configuration.concurrency)
            if jobs.isEmpty { return count }
            for job in jobs { await attempt(job) }
            count += jobs.count
        }
    }

    /// Releases the jobs of processes that are known to be dead.
    /// - Returns: The number of released jobs.
    package func rescue() async throws -> Int {
        let leases = try await store.leases()
        let own = running.withLock { Set($0.keys) }
        let uptime = queue.clock.uptime
        let dead = observed.withLock { observed in
            observed.record(leases.filter { !own.contains($0.id) }, uptime: uptime)
            // A live process renews each lease after a third of its duration. The time is measured by this process's
            // uptime, so that a change of the wall clock or a suspended machine does not count.
            return observed.unchanged(for: configuration.leaseDuration * 2 / 3, uptime: uptime)
        }
        let now = queue.clock.now
        return try await store.rescue(dead.filter { $0.until < now })
    }

    private let observed = Mutex(ObservedLeases())

    private enum Subtask { case fetching, maintenance, stop }

    private func stop() async {
        stopping.withLock { $0 = true }
        queue.signal.notify()
        logger.info("stopping: no longer fetching jobs", metadata: ["running": "\(running.withLock { $0.count })"])
        try? await queue.clock.sleep(for: configuration.shutdownTimeout)
    }

    // MARK: Fetching

    private var isStopping: Bool { stopping.withLock { $0 } || Task.isCancelled }

    private func fetch() async {
        await withDiscardingTaskGroup { group in
            while !isStopping {
                let free = configuration.concurrency - running.withLock { $0.count }
                var jobs: [JobRecord] = []
                if free > 0 {
                    do { jobs = try await claim(free) } catch { logFailure("Jobs could not be fetched.", error) }
                }
                for job in jobs {
                    group.addTask {
                        await self.attempt(job)
                        self.queue.signal.notify()
                    }
                }
                // After a full batch, there may be more jobs.
                guard jobs.isEmpty || jobs.count < free else { continue }
                await queue.signal.wait(atMost: configuration.pollInterval, clock: queue.clock)
            }
        }
    }

    private func claim(_ limit: Int) async throws -> [JobRecord] {
        let jobs = try await store.claim(workers.keys.map(\.text), limit: limit, lease: configuration.leaseDuration)
        running.withLock { running in for job in jobs { running[job.id] = job } }
        return jobs
    }

    private func maintain() async {
        let pause = configuration.leaseDuration / 3
        while !Task.isCancelled {
            do {
                try await store.extendLeases(running.withLock { Array($0.values) }, by: configuration.leaseDuration)
            } catch { logFailure("Leases could not be renewed.", error) }
            do { try await rescueAndLog() } catch {
                logFailure("Jobs of dead workers could not be released.", error)
            }
            do {
                try await store.deleteFinished(
                    completed: configuration.completedRetention, discarded: configuration.discardedRetention)
            } catch { logFailure("Old jobs could not be deleted.", error) }
            try? await queue.clock.sleep(for: pause)
        }
    }

    private func rescueAndLog() async throws {
        let count = try await rescue()
        guard count > 0 else { return }
        logger.warning("Jobs of dead workers were released.", metadata: ["count": "\(count)"])
        queue.signal.notify()
    }

    // MARK: Attempts

    private func attempt(_ job: JobRecord) async {
        let context = JobContext(job, store: store, logger: logger)
        var failure: (any Error)?
        do {
            guard let worker = workers[ExactString(job.kind)] else {
                throw AppError(.unimplemented, "No worker performs jobs of the kind \"\(job.kind)\".")
            }
            try await withDeadline(.after(worker.timeout)) { try await worker.perform(job.payload, context) }
        } catch { failure = error }
        let isInterrupted = failure != nil && Task.isCancelled
        // In a separate task, so that the outcome is stored even if this task is cancelled.
        await Task { [failure] in
            await self.storeOutcome(of: job, context, failure, isInterrupted: isInterrupted)
        }.value
        // Unless this process has claimed the job again in the meantime.
        running.withLock { if $0[job.id]?.fence == job.fence { $0[job.id] = nil } }
    }

    private func storeOutcome(
        of job: JobRecord, _ context: JobContext, _ failure: (any Error)?, isInterrupted: Bool
    ) async {
        guard !context.isCompleted else { return }
        do {
            if isInterrupted { return try await store.requeue(job) }
            guard let failure else {
                if try await !store.complete(job.id, fence: job.fence) {
                    context.logger.warning("The job was performed, but its lease had been lost.")
                }
                return
            }
            try await fail(job, AppError(wrapping: failure), context.logger)
        } catch { logFailure("The outcome of a job could not be stored; its lease will expire.", error) }
    }

    private func fail(_ job: JobRecord, _ error: AppError, _ logger: Logger) async throws {
        // By scalar: U+0000 followed by a combining mark is a different character, which cannot be stored either.
        let scalars = error.debugDescription.unicodeScalars.prefix(2000).filter { $0 != "\0" }
        let text = String(String.UnicodeScalarView(scalars))
        guard error.code.isTransient, job.attempt < job.maxAttempts else {
            logger.error("The job became a dead letter.", metadata: ["error": "\(text)", "attempt": "\(job.attempt)"])
            return try await store.discard(job, error: text)
        }
        let delay = max(Backoff.delay(afterAttempt: job.attempt), error.details.retryAfter ?? .zero)
        logger.warning(
            "The job failed and will be retried.",
            metadata: ["error": "\(text)", "attempt": "\(job.attempt)", "delay_s": "\(delay.seconds)"])
        try await store.retry(job, after: delay, error: text)
    }

    private func logFailure(_ message: Logger.Message, _ error: any Error) {
        guard !(error is CancellationError) else { return }
        logger.error(message, metadata: ["error": .string(AppError(wrapping: error).debugDescription)])
    }
}

/// The delay before the next attempt: the fourth power of the attempt number in seconds, at most a day, ± 10 %.
enum Backoff {
    static func delay(afterAttempt attempt: Int) -> Duration {
        let seconds = min(Double(attempt * attempt * attempt * attempt), 24 * 3600)
        return .seconds(seconds * Double.random(in: 0.9...1.1))
    }
}

/// A type-erased worker.
private struct AnyWorker: Sendable {
    let kind: String
    let timeout: Duration
    let perform: @Sendable (String, JobContext) async throws -> Void

    init<W: Worker>(_ worker: W) {
        kind = W.Work.name
        timeout = W.Work.timeout
        perform = { payload, context in
            let job: W.Work
            do {
                job = try JSON.Decoder.standard.decode(W.Work.self, from: payload.utf8)
            } catch {
                throw AppError(
                    .invalidArgument, "The stored arguments cannot be decoded as a \"\(W.Work.name)\" job.",
                    cause: error)
            }
            try await worker.perform(job, context)
        }
    }
}
