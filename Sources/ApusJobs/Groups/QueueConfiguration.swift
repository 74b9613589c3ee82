import ApusCore

/// How a queue runs.
public struct QueueConfiguration: Sendable, Hashable {
    /// The maximum number of jobs that run concurrently in one process. By default that of the runner.
    public var concurrency: Int?
    /// What all processes together may run. No limit by default.
    public var limit: JobLimit
    /// What all processes together may run of each group, see ``Job/group``. No limit by default. Jobs without a group have
    /// no such limit.
    public var groupLimit: JobLimit

    /// Creates a configuration.
    public init(concurrency: Int? = nil, limit: JobLimit = JobLimit(), groupLimit: JobLimit = JobLimit()) {
        self.concurrency = concurrency
        self.limit = limit
        self.groupLimit = groupLimit
    }

    /// Whether claims must agree with those of other processes.
    var isLimited: Bool { limit != JobLimit() || groupLimit != JobLimit() }
    /// Whether the end of a job can allow another one to start in any process.
    var limitsConcurrency: Bool { limit.concurrency != nil || groupLimit.concurrency != nil }

    /// Returns what is wrong with the configuration of a queue.
    package func problems(of queue: String) -> [String] {
        var problems: [String] = []
        if let concurrency, concurrency < 1 {
            problems.append("The queue \"\(queue)\" has a concurrency of \(concurrency); at least 1 is needed.")
        }
        for limit in [limit, groupLimit] {
            if let concurrency = limit.concurrency, concurrency < 1 {
                problems.append(
                    "The queue \"\(queue)\" has a limit of \(concurrency) concurrent jobs; pause it to run none.")
            }
            if let rate = limit.rate, !rate.isValid {
                problems.append(
                    """
                    The queue "\(queue)" has an invalid rate: its count and burst are at least 1, its period at least 1 ms, and \
                    the time in which the burst is used up at the even pace at most a year.
                    """)
            }
        }
        return problems
    }
}

/// What may run at the same time and start in a time, in all processes together.
///
/// All processes should have the same limits. If they have different ones, each claims no jobs beyond its own.
public struct JobLimit: Sendable, Hashable {
    /// The maximum number of jobs that run concurrently. Those of a process that has died count until its lease has ended.
    public var concurrency: Int?
    /// How many jobs may start in a time.
    public var rate: JobRate?

    /// Creates a limit.
    public init(concurrency: Int? = nil, rate: JobRate? = nil) {
        self.concurrency = concurrency
        self.rate = rate
    }
}

/// How many jobs may start in a period. Their starts are spread over it evenly.
public struct JobRate: Sendable, Hashable {
    public let count: Int
    public let period: Duration
    /// How many may start at once after a pause. At most `count + burst - 1` start in any period.
    public let burst: Int

    var isValid: Bool {
        count >= 1 && burst >= 1 && period >= .milliseconds(1)
            && period.seconds / Double(max(1, count)) * Double(burst) <= 366 * 86400
    }

    /// Creates a rate.
    /// - Parameters:
    ///   - count: At least 1.
    ///   - period: At least 1 ms.
    ///   - burst: At least 1.
    public init(_ count: Int, per period: Duration, burst: Int = 1) {
        self.count = count
        self.period = period
        self.burst = burst
    }
}
