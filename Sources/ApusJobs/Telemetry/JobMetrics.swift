import ApusCore
import Metrics
import Synchronization

/// What is measured of jobs, by swift-metrics. All have the dimension `queue`, and those of jobs also `job`, their kind.
///
/// - `jobs.enqueued`: counts jobs whose transactions were committed.
/// - `jobs.attempts`: counts attempts that have ended, by `outcome`.
/// - `jobs.attempt.duration`, a timer.
/// - `jobs.latency`, a timer: how long jobs that were due waited for a worker.
/// - `jobs.running`: how many jobs run in this process.
/// - `jobs.available` and `jobs.oldest.age`: how many jobs wait in a queue, and for how many seconds the oldest one that is
///   due has. They are the same in all processes.
final class JobMetrics: Sendable {
    private struct Key: Hashable {
        let label: String
        let job: ExactString
        let queue: ExactString
        let outcome: String
    }

    private struct State {
        var counters: [Key: Counter] = [:]
        var timers: [Key: Timer] = [:]
        var gauges: [Key: Gauge] = [:]
    }

    private let factory: any MetricsFactory
    private let state = Mutex(State())

    private init(_ factory: any MetricsFactory) { self.factory = factory }

    /// Where jobs are measured. The process-wide factory is asked for until there is one, because a program may set it late.
    final class Source: Sendable {
        private let known: Mutex<JobMetrics?>

        /// - Parameter factory: A factory to use instead of the process-wide one.
        init(_ factory: (any MetricsFactory)?) { known = Mutex(factory.map { JobMetrics($0) }) }

        /// `nil` if nothing is measured.
        var current: JobMetrics? {
            known.withLock { known in
                if let known { return known }
                let factory = MetricsSystem.factory
                guard !(factory is NOOPMetricsHandler) else { return nil }
                known = JobMetrics(factory)
                return known
            }
        }
    }

    func enqueued(_ kind: String, in queue: String, _ count: Int) {
        counter("jobs.enqueued", kind, queue).increment(by: count)
    }

    func ended(_ job: JobRecord, _ outcome: String, after duration: Duration, latency: Duration) {
        counter("jobs.attempts", job.kind, job.queue, outcome: outcome).increment()
        timer("jobs.attempt.duration", job).record(duration: duration)
        timer("jobs.latency", job).record(duration: latency)
    }

    func running(_ count: Int, in queue: String) { gauge("jobs.running", queue).record(count) }

    /// Records what waits in queues. Those of which nothing is known any more have no jobs.
    func waiting(_ statistics: [QueueStatistics]) {
        let known = Set(statistics.map { ExactString($0.queue) })
        for queue in statistics {
            gauge("jobs.available", queue.queue).record(queue.available)
            gauge("jobs.oldest.age", queue.queue).record(queue.latency?.seconds ?? 0)
        }
        let idle = state.withLock { state in
            state.gauges.filter { $0.key.label != "jobs.running" && !known.contains($0.key.queue) }.map(\.value)
        }
        for gauge in idle { gauge.record(0) }
    }

    // MARK: Handlers

    private func counter(_ label: String, _ kind: String, _ queue: String, outcome: String = "") -> Counter {
        let key = Key(label: label, job: ExactString(kind), queue: ExactString(queue), outcome: outcome)
        return state.withLock { state in
            if let counter = state.counters[key] { return counter }
            let dimensions = [("job", kind), ("queue", queue)] + (outcome.isEmpty ? [] : [("outcome", outcome)])
            let counter = Counter(label: label, dimensions: dimensions, factory: factory)
            state.counters[key] = counter
            return counter
        }
    }

    private func timer(_ label: String, _ job: JobRecord) -> Timer {
        let key = Key(label: label, job: ExactString(job.kind), queue: ExactString(job.queue), outcome: "")
        return state.withLock { state in
            if let timer = state.timers[key] { return timer }
            let timer = Timer(label: label, dimensions: [("job", job.kind), ("queue", job.queue)], factory: factory)
            state.timers[key] = timer
            return timer
        }
    }

    private func gauge(_ label: String, _ queue: String) -> Gauge {
        let key = Key(label: label, job: ExactString(""), queue: ExactString(queue), outcome: "")
        return state.withLock { state in
            if let gauge = state.gauges[key] { return gauge }
            let gauge = Gauge(label: label, dimensions: [("queue", queue)], factory: factory)
            state.gauges[key] = gauge
            return gauge
        }
    }
}

extension Outcome {
    /// What the metric `jobs.attempts` calls it.
    var label: String {
        switch kind {
        case .completed: "completed"
        case .again(_, let counts): counts ? "retried" : "postponed"
        case .waiting: "waiting"
        case .cancelled: "cancelled"
        case .discarded: "discarded"
        }
    }
}
