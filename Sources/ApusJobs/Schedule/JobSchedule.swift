import ApusCore
public import FoundationEssentials

/// Enqueues a job at the times of a cron expression, once for all processes.
///
/// ```swift
/// app.schedules.add(
///     JobSchedule("nightly-report", try Cron("0 3 * * *", timeZone: "Europe/Berlin")) { time in NightlyReport(day: time) })
/// ```
///
/// The next time is stored in the database, so that no run is lost while all processes are stopped: ``MissedRuns`` says what
/// happens to it. One process at a time, the leader, enqueues. If it dies, another one becomes the leader within the
/// lease, and at once if it stops.
public struct JobSchedule: Sendable {
    /// The stored name, which must be stable and unique in the app.
    public let name: String
    /// The times.
    public let cron: Cron
    /// What happens to runs whose time has passed.
    public let missed: MissedRuns
    let enqueue: @Sendable (JobQueue, Date) async throws -> Void

    /// Creates a schedule.
    /// - Parameters:
    ///   - name: The stored name, which must be stable and unique in the app.
    ///   - cron: The times. If they change, the next run is the first one of the new times.
    ///   - missed: What happens to runs whose time has passed.
    ///   - options: How the job is enqueued. The time of the run is its time, to which a delay is added.
    ///   - job: Returns the job of a time.
    public init<Work: Job>(
        _ name: String, _ cron: Cron, missed: MissedRuns = .once, options: JobOptions = JobOptions(),
        job: @escaping @Sendable (Date) throws -> Work
    ) {
        self.name = name
        self.cron = cron
        self.missed = missed
        enqueue = { queue, time in
            var options = options
            options.time = time
            try await queue.enqueue(try job(time), options)
        }
    }

    /// Returns an error message for each name that more than one schedule has.
    package static func duplicateNames(of schedules: [JobSchedule]) -> [String] {
        var counts: [ExactString: Int] = [:]
        for schedule in schedules { counts[ExactString(schedule.name), default: 0] += 1 }
        return counts.filter { $0.value > 1 }.map { "\($0.value) schedules have the name \"\($0.key.text)\"." }.sorted()
    }
}

/// What happens to the runs of a schedule whose times have passed, because no process was running, or by a wall clock that
/// was set forward.
public enum MissedRuns: Sendable, Hashable {
    /// The latest one is enqueued, and the others are left out.
    case once
    /// All are enqueued, but no more than the latest ones of a number.
    case all(atMost: Int)
    /// Those that are late by more than a duration are left out.
    case skipped(after: Duration)

    /// Returns which runs to enqueue.
    /// - Parameter due: The times that have passed, the earliest one first.
    func runs(of due: [Date], now: Date) -> [Date] {
        switch self {
        case .once: due.suffix(1)
        case .all(let limit): due.suffix(max(0, limit))
        case .skipped(let limit): due.filter { now.timeIntervalSince($0) <= limit.seconds }
        }
    }
}
