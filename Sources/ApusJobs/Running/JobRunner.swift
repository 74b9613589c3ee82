import ApusCore
import ApusData
import FoundationEssentials
public import Logging
public import ServiceLifecycle
import Synchronization

/// Runs jobs: claims them as slots become free, renews the lease of this process, and releases the jobs of dead ones.
///
/// As a `Service`, it shuts down gracefully: it stops claiming jobs, waits for the running attempts, cancels those that
/// exceed the time limit, and returns their jobs to the queue without counting the attempt.
public final class JobRunner: Service {
    /// The limits and intervals of a runner.
    public struct Configuration: Sendable {
        /// The maximum number of jobs of a queue that run concurrently in this process. 20.
        public var concurrency = 20
        /// The queues that have another ``concurrency`` or limits, and further ones to run beside those of the workers' jobs.
        public var queues: [String: QueueConfiguration] = [:]
        /// How many jobs of a queue may be claimed beyond those that run. 1000. As many are as end within 50 ms, so that
        /// only short jobs are.
        public var maximumPrefetch = 1000
        /// The duration of the lease of a process, after which the jobs of a dead one are given to others. 30 seconds.
        /// It is renewed after a third of it.
        public var leaseDuration = Duration.seconds(30)
        /// How often to poll for jobs without a signal: those that become due, and those of other processes.
        /// 1 second.
        public var pollInterval = Duration.seconds(1)
        /// The maximum time that running jobs may take to finish at shutdown. 10 seconds.
        public var shutdownTimeout = Duration.seconds(10)
        /// How long an attempt may go on after it was cancelled. 5 seconds. Then it is given up: it no longer takes a slot,
        /// and its job is retried.
        public var cancellationGrace = Duration.seconds(5)
        /// How long completed and cancelled jobs are retained. 24 hours.
        public var completedRetention = Duration.seconds(24 * 3600)
        /// How long dead letters are retained. 30 days.
        public var discardedRetention = Duration.seconds(30 * 24 * 3600)

        public init() {}
    }

    /// How often the queues are measured.
    private static let measurementInterval = Duration.seconds(10)

    private let queue: JobQueue
    private let performer: JobPerformer
    private let runners: [QueueRunner]
    private let lostClaims: LostClaims
    private let leadership: Leadership
    private let scheduler: Scheduler
    private let hasSchedules: Bool
    private let configuration: Configuration
    private let logger: Logger

    public init(
        _ queue: JobQueue, workers: [any Worker], schedules: [JobSchedule] = [],
        configuration: Configuration = Configuration(), logger: Logger
    ) {
        self.queue = queue
        self.configuration = configuration
        self.logger = logger
        let performer = JobPerformer(queue, workers: workers, configuration, logger)
        self.performer = performer
        lostClaims = LostClaims(queue.store)
        leadership = Leadership(queue.store, performer.lease, logger: logger)
        scheduler = Scheduler(
            queue, schedules, leadership, pollInterval: configuration.pollInterval, logger: logger)
        hasSchedules = !schedules.isEmpty
        runners = performer.queues.union(configuration.queues.keys).sorted().map { name in
            QueueRunner(name, configuration, performer, queue.signal.listen(to: name))
        }
    }

    /// Returns an error message for each job name that more than one of the workers performs, and for each version that is
    /// out of range.
    package static func problems(of workers: [any Worker]) -> [String] {
        func name<W: Worker>(_ worker: W) -> String { W.Work.name }
        var first: [ExactString: any Worker] = [:]
        func version<W: Worker>(_ worker: W) -> Int { W.Work.version }
        return workers.compactMap { worker in
            let name = name(worker)
            guard 1...1000 ~= version(worker) else {
                return "Jobs named \"\(name)\" have the version \(version(worker)); versions count from 1 to 1000."
            }
            guard let other = first[ExactString(name)] else {
                first[ExactString(name)] = worker
                return nil
            }
            return "Jobs named \"\(name)\" have two workers: \(type(of: other)) and \(type(of: worker))."
        }
    }

    /// Runs until the task is cancelled or a graceful shutdown is triggered.
    public func run() async throws {
        guard !performer.isEmpty || hasSchedules else { return try await gracefulShutdown() }
        await withTaskGroup(of: Void.self) { group in
            for runner in runners { group.addTask { await runner.claimJobs() } }
            group.addTask { await self.queue.signal.receive() }
            group.addTask { await self.maintain() }
            group.addTask { await self.watch() }
            group.addTask { await self.cancelAtOnce() }
            group.addTask { await self.cleanRegularly() }
            group.addTask { await self.scheduler.run() }
            group.addTask { await self.measureRegularly() }
            try? await gracefulShutdown()
            logger.info("stopping: no longer fetching jobs", metadata: ["running": "\(running)"])
            for runner in runners { runner.stop() }
            await finishRunning()
            group.cancelAll()
        }
        // On a task that is not cancelled.
        await Task.detached {
            await self.performer.writer.close()
            do {
                try await self.performer.lease.end()
                if self.leadership.resign() { await self.queue.signal.leaderLeft() }
            } catch {
                self.performer.logFailure("The lease of this process could not be ended.", error)
            }
        }.value
        logger.info("stopping: workers stopped")
    }

    private var running: Int { runners.reduce(0) { $0 + $1.running } }

    /// Waits for the attempts in progress, then cancels them, and then gives them up.
    private func finishRunning() async {
        await waitUntilIdle(atMost: Task.isCancelled ? .zero : configuration.shutdownTimeout)
        guard running > 0 else { return }
        logger.info("stopping: time limit reached, cancelling running jobs", metadata: ["running": "\(running)"])
        for runner in runners { runner.cancelAll() }
        await waitUntilIdle(atMost: configuration.cancellationGrace)
        guard running > 0 else { return }
        logger.error(
            "Jobs ignore their cancellation. They are returned to the queue.", metadata: ["running": "\(running)"])
        for runner in runners { runner.abandonAll() }
    }

    private func waitUntilIdle(atMost limit: Duration) async {
        // Detached, because the task of the service may be cancelled.
        await Task.detached { [queue, runners] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { for runner in runners { await runner.waitUntilIdle() } }
                group.addTask { try? await queue.clock.sleep(for: limit) }
                await group.next()
                group.cancelAll()
            }
        }.value
    }

    // MARK: Maintenance

    private func maintain() async {
        let pause = configuration.leaseDuration / 3
        let news = queue.signal.listenToLeader()
        await attempt("The queues could not be registered.") {
            try await queue.store.register(queues: runners.map(\.name))
        }
        while !Task.isCancelled {
            await renewLease()
            await attempt("Jobs of dead workers could not be released.") { _ = try await rescue() }
            await elect()
            let end = queue.clock.uptime + pause
            while queue.clock.uptime < end, !Task.isCancelled {
                await news.wait(atMost: end - queue.clock.uptime, clock: queue.clock)
                if news.takeNews() { await elect() }
            }
        }
    }

    private func elect() async {
        guard hasSchedules else { return }
        await attempt("The leader could not be elected.") { try await leadership.campaign() }
    }

    private func renewLease() async {
        await attempt("The lease could not be renewed.") {
            if try await !performer.lease.beat() {
                logger.warning("The lease of this process was lost. Its jobs are given to others.")
            }
            for runner in runners { try await runner.cancelLost() }
            try await giveBackLostClaims()
            queue.signal.notifyAllHere()
        }
    }

    private func giveBackLostClaims() async throws {
        guard let worker = performer.lease.current else { return }
        let count = try await lostClaims.giveBack(of: worker) { [runners, performer] in
            runners.reduce(performer.writer.known) { $0.union($1.known) }
        }
        guard count > 0 else { return }
        logger.warning("Jobs whose claim was not answered were returned.", metadata: ["count": "\(count)"])
    }

    /// Cancels attempts as soon as somebody cancels their jobs.
    private func cancelAtOnce() async {
        let news = queue.signal.listenToCancellations()
        while !Task.isCancelled {
            await news.wait(atMost: configuration.leaseDuration, clock: queue.clock)
            guard news.takeNews() else { continue }
            await attempt("Cancelled jobs could not be found.") {
                for runner in runners { try await runner.cancelLost() }
            }
        }
    }

    private func attempt(_ failure: Logger.Message, _ body: () async throws -> Void) async {
        do { try await body() } catch { performer.logFailure(failure, error) }
    }

    /// Releases the jobs of processes that are known to be dead.
    /// - Returns: The number of released jobs.
    package func rescue() async throws -> Int {
        let count = try await performer.lease.releaseDead()
        guard count > 0 else { return 0 }
        logger.warning("Jobs of dead workers were released.", metadata: ["count": "\(count)"])
        queue.signal.notifyAllHere()
        return count
    }

    /// Deletes old jobs, beside the beats of the lease, which must not wait.
    private func cleanRegularly() async {
        while !Task.isCancelled {
            await attempt("Old jobs could not be deleted.") { try await clean() }
            try? await queue.clock.sleep(for: configuration.leaseDuration / 3)
        }
    }

    private func clean() async throws {
        let retention: [JobState: Duration] = [
            .completed: configuration.completedRetention, .cancelled: configuration.completedRetention,
            .discarded: configuration.discardedRetention,
        ]
        while try await queue.store.deleteFinished(retention: retention, limit: 1000) == 1000, !Task.isCancelled {}
        try await queue.store.deleteIdleGroups()
    }

    /// Measures what waits and runs, if somebody wants to know it.
    private func measureRegularly() async {
        while !Task.isCancelled {
            if let metrics = queue.metrics.current {
                for runner in runners { metrics.running(runner.running, in: runner.name) }
                await attempt("The queues could not be measured.") { metrics.waiting(try await queue.statistics()) }
            }
            try? await queue.clock.sleep(for: Self.measurementInterval)
        }
    }

    /// Gives up attempts that ignore their cancellation.
    private func watch() async {
        while !Task.isCancelled {
            try? await queue.clock.sleep(for: configuration.pollInterval)
            for runner in runners { runner.abandonOverdue() }
        }
    }

    // MARK: Tests

    /// Runs all due jobs in the current task, one after the other, until none is left.
    /// - Returns: The number of attempts.
    package func runAvailable() async throws -> Int {
        var count = 0
        while true {
            if performer.lease.current == nil { _ = try await performer.lease.beat() }
            let before = count
            for runner in runners {
                guard let worker = performer.lease.current else { break }
                var claimer = runner.claimer()
                for job in try await claimer.claim(worker, room: configuration.concurrency) {
                    if let outcome = await performer.perform(job) { _ = try await queue.store.store([outcome]) }
                    count += 1
                }
            }
            if count == before { return count }
        }
    }
}
