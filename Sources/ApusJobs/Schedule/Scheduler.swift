import ApusCore
import ApusData
import FoundationEssentials
import Logging
import Synchronization

/// Enqueues the jobs of schedules, while this process is the leader.
final class Scheduler: Sendable {
    /// For how long times that have passed are remembered, and how many.
    private static let memory = 366.0 * 86400
    private static let maximumMissed = 10_000

    private let queue: JobQueue
    private let schedules: [JobSchedule]
    private let leadership: Leadership
    private let pollInterval: Duration
    private let logger: Logger

    init(
        _ queue: JobQueue, _ schedules: [JobSchedule], _ leadership: Leadership, pollInterval: Duration, logger: Logger
    ) {
        self.queue = queue
        self.schedules = schedules
        self.leadership = leadership
        self.pollInterval = pollInterval
        self.logger = logger
    }

    /// Runs until the task is cancelled.
    func run() async {
        guard !schedules.isEmpty else { return }
        while !Task.isCancelled {
            var delay = pollInterval
            if leadership.isLeader {
                do { delay = try await enqueueDue() } catch {
                    logger.error(
                        "Scheduled jobs could not be enqueued.",
                        metadata: ["error": .string(AppError(wrapping: error).debugDescription)])
                }
            }
            try? await queue.clock.sleep(for: delay)
        }
    }

    /// Enqueues the jobs whose times have come.
    /// - Returns: How long to wait until the next time. No longer than the poll interval, because the wall clock may be set.
    func enqueueDue() async throws -> Duration {
        let stored = try await queue.store.schedules()
        var next = pollInterval
        for schedule in schedules {
            let now = queue.clock.now
            guard let time = try await self.next(schedule, stored[ExactString(schedule.name)], now) else { continue }
            var following: Date? = time
            if time <= now {
                do { following = try await enqueue(schedule, from: time, now) } catch {
                    logger.error(
                        "A scheduled job could not be enqueued.",
                        metadata: [
                            "schedule": "\(schedule.name)",
                            "error": .string(AppError(wrapping: error).debugDescription),
                        ])
                    continue
                }
            }
            if let following { next = min(next, .seconds(following.timeIntervalSince(now))) }
        }
        return max(.milliseconds(1), next)
    }

    /// Returns the next time of a schedule, which is stored if it is new or has changed; `nil` if there is none.
    private func next(_ schedule: JobSchedule, _ stored: StoredSchedule?, _ now: Date) async throws -> Date? {
        if let stored, ExactString(stored.cron) == ExactString(schedule.cron.description) { return stored.next }
        guard let next = schedule.cron.next(after: now) else { return nil }
        try await queue.store.store(StoredSchedule(cron: schedule.cron.description, next: next), of: schedule.name)
        return next
    }

    /// Enqueues the runs of a schedule whose times have come, unless another process has.
    /// - Returns: The time of the next run.
    private func enqueue(_ schedule: JobSchedule, from first: Date, _ now: Date) async throws -> Date? {
        var due: [Date] = []
        let oldest = now.addingTimeInterval(-Self.memory)
        var next = first < oldest ? schedule.cron.next(after: oldest) : first
        while let time = next, time <= now {
            due.append(time)
            if due.count == 2 * Self.maximumMissed { due.removeFirst(Self.maximumMissed) }
            next = schedule.cron.next(after: time)
        }
        let runs = schedule.missed.runs(of: due, now: now)
        if runs.count < due.count {
            logger.warning(
                "Runs of a schedule were missed.",
                metadata: [
                    "schedule": "\(schedule.name)", "missed": "\(due.count - runs.count)", "enqueued": "\(runs.count)",
                ])
        }
        return try await queue.database.transaction {
            guard try await queue.store.advance(schedule.name, from: first, to: next, now) else { return next }
            for time in runs { try await schedule.enqueue(queue, time) }
            return next
        }
    }
}
