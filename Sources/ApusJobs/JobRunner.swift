import ApusCore
import ApusData
import ApusJSON
import FoundationEssentials
public import Logging
public import ServiceLifecycle
import Synchronization

/// Runs jobs: fetches them as slots become free, keeps their leases alive, and frees those whose worker died.
///
/// As a `Service` it stops in order: it fetches no more, waits for the running attempts, cancels those that take too long,
/// and puts back what was cut off, uncounted.
public final class JobRunner: Service {
    /// How many, how long, how often.
    public struct Configuration: Sendable {
        /// The most jobs at a time. 20.
        public var concurrency = 20
        /// How long a worker may be silent before its job is given to another. 30 seconds; renewed at a third of it.
        public var lease = Duration.seconds(30)
        /// How often to look for jobs that no signal announced: those that become due, those of other processes. 1 second.
        public var pollInterval = Duration.seconds(1)
        /// How long running jobs may take to end when the process stops. 10 seconds.
        public var stopLimit = Duration.seconds(10)
        /// How long completed jobs are kept. 24 hours.
        public var keepCompleted = Duration.seconds(24 * 3600)
        /// How long dead letters are kept. 30 days.
        public var keepDiscarded = Duration.seconds(30 * 24 * 3600)

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

    /// What is wrong with a list of workers: a sentence for each job name that several of them perform.
    package static func repeatedNames(of workers: [any Worker]) -> [String] {
        func name<W: Worker>(_ worker: W) -> String { W.Work.name }
        var first: [ExactString: any Worker] = [:]
        return workers.compactMap { worker in
            let name = name(worker)
            guard let other = first[ExactString(name)] else {
                first[ExactString(name)] = worker
                return nil
            }
            return "The jobs named \"\(name)\" have two workers: \(type(of: other)) and \(type(of: worker))."
        }
    }

    /// Runs until the task is cancelled or a graceful shutdown is asked for.
    public func run() async throws {
        guard !workers.isEmpty else { return try await gracefulShutdown() }
        await withTaskGroup(of: Part.self) { group in
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
            while let part = await group.next() {
                switch part {
                case .maintenance: break
                case .fetching: hasFetched = true
                case .stop where !hasFetched: self.logger.info("stopping: jobs still running are cancelled")
                case .stop: break
                }
                group.cancelAll()
            }
        }
        logger.info("stopping: workers stopped")
    }

    /// Runs every job that is due, in this task, until none is left.
    /// - Returns: How many attempts were made.
    package func runAvailable() async throws -> Int {
        var count = 0
        while true {
            let jobs = try await claim(configuration.concurrency)
            if jobs.isEmpty { return count }
            for job in jobs { await attempt(job) }
            count += jobs.count
        }
    }

    /// Frees the jobs of processes that died, as far as they are known to be dead by now.
    package func rescue() async throws -> Int {
        let held = try await store.leases()
        let own = running.withLock { Set($0.keys) }
        let uptime = queue.clock.uptime
        let dead = observed.withLock { observed in
            observed.note(held.filter { !own.contains($0.id) }, uptime: uptime)
            // A live process renews each lease at a third of its length. Time is this process's own: a clock that was set, or a
            // machine that slept, has taken nobody's time.
            return observed.unchanged(for: configuration.lease * 2 / 3, uptime: uptime)
        }
        let now = queue.clock.now
        return try await store.rescue(dead.filter { $0.until < now })
    }

    private let observed = Mutex(ObservedLeases())

    private enum Part { case fetching, maintenance, stop }

    private func stop() async {
        stopping.withLock { $0 = true }
        queue.signal.notify()
        logger.info("stopping: no more jobs are fetched", metadata: ["running": "\(running.withLock { $0.count })"])
        try? await queue.clock.sleep(for: configuration.stopLimit)
    }

    // MARK: Fetching

    private var isStopping: Bool { stopping.withLock { $0 } || Task.isCancelled }

    private func fetch() async {
        await withDiscardingTaskGroup { group in
            while !isStopping {
                let free = configuration.concurrency - running.withLock { $0.count }
                var jobs: [JobRecord] = []
                if free > 0 {
                    do { jobs = try await claim(free) } catch { report("Jobs could not be fetched.", error) }
                }
                for job in jobs {
                    group.addTask {
                        await self.attempt(job)
                        self.queue.signal.notify()
                    }
                }
                // A full batch means that there may be more.
                guard jobs.isEmpty || jobs.count < free else { continue }
                await queue.signal.wait(atMost: configuration.pollInterval, clock: queue.clock)
            }
        }
    }

    private func claim(_ limit: Int) async throws -> [JobRecord] {
        let jobs = try await store.claim(workers.keys.map(\.text), limit: limit, lease: configuration.lease)
        running.withLock { running in for job in jobs { running[job.id] = job } }
        return jobs
    }

    private func maintain() async {
        let pause = configuration.lease / 3
        while !Task.isCancelled {
            do {
                try await store.extendLeases(running.withLock { Array($0.values) }, by: configuration.lease)
            } catch { report("Leases could not be extended.", error) }
            do { try await rescueAndReport() } catch { report("Jobs of dead workers could not be freed.", error) }
            do {
                try await store.clean(completed: configuration.keepCompleted, discarded: configuration.keepDiscarded)
            } catch { report("Old jobs could not be removed.", error) }
            try? await queue.clock.sleep(for: pause)
        }
    }

    private func rescueAndReport() async throws {
        let count = try await rescue()
        guard count > 0 else { return }
        logger.warning("Jobs of a dead worker were freed.", metadata: ["count": "\(count)"])
        queue.signal.notify()
    }

    // MARK: One attempt

    private func attempt(_ job: JobRecord) async {
        let context = JobContext(job, store: store, logger: logger)
        var failure: (any Error)?
        do {
            guard let worker = workers[ExactString(job.kind)] else {
                throw AppError(.unimplemented, "No worker does \(job.kind).")
            }
            try await withDeadline(.after(worker.timeout)) { try await worker.perform(job.payload, context) }
        } catch { failure = error }
        let isInterrupted = failure != nil && Task.isCancelled
        // What became of the job is written down even when this task is cancelled: hence a task of its own.
        await Task { [failure] in
            await self.conclude(job, context, failure, isInterrupted: isInterrupted)
        }.value
        // Not if this process has claimed the job anew meanwhile.
        running.withLock { if $0[job.id]?.fence == job.fence { $0[job.id] = nil } }
    }

    private func conclude(_ job: JobRecord, _ context: JobContext, _ failure: (any Error)?, isInterrupted: Bool) async {
        guard !context.isCompleted else { return }
        do {
            if isInterrupted { return try await store.putBack(job) }
            guard let failure else {
                if try await !store.complete(job.id, fence: job.fence) {
                    context.logger.warning("The job was done, but its lease had been lost.")
                }
                return
            }
            try await fail(job, AppError(wrapping: failure), context.logger)
        } catch { report("The outcome of a job could not be stored; its lease will run out.", error) }
    }

    private func fail(_ job: JobRecord, _ error: AppError, _ logger: Logger) async throws {
        let text = String(error.debugDescription.prefix(2000).filter { $0 != "\0" })
        guard error.code.isTransient, job.attempt < job.maxAttempts else {
            logger.error("The job became a dead letter.", metadata: ["error": "\(text)", "attempt": "\(job.attempt)"])
            return try await store.discard(job, error: text)
        }
        let delay = max(Backoff.delay(afterAttempt: job.attempt), error.details.retryAfter ?? .zero)
        logger.warning(
            "The job failed and will be tried again.",
            metadata: ["error": "\(text)", "attempt": "\(job.attempt)", "delay_s": "\(delay.seconds)"])
        try await store.retry(job, after: delay, error: text)
    }

    private func report(_ message: Logger.Message, _ error: any Error) {
        guard !(error is CancellationError) else { return }
        logger.error(message, metadata: ["error": .string(AppError(wrapping: error).debugDescription)])
    }
}

/// The pause before the next attempt: the fourth power of the attempt's number in seconds, at most a day, ± 10 %.
enum Backoff {
    static func delay(afterAttempt attempt: Int) -> Duration {
        let seconds = min(Double(attempt * attempt * attempt * attempt), 24 * 3600)
        return .seconds(seconds * Double.random(in: 0.9...1.1))
    }
}

/// A worker with the type of its jobs forgotten.
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
                    .invalidArgument, "The stored arguments are not those of a \(W.Work.name).", cause: error)
            }
            try await worker.perform(job, context)
        }
    }
}
