import ApusCore
import ApusData
import FoundationEssentials

/// What is stored of a schedule.
struct StoredSchedule: Sendable {
    /// The times, with which ``next`` was computed.
    let cron: String
    let next: Date?
}

extension JobStore {
    /// Returns the stored schedules by their names.
    func schedules() async throws -> [ExactString: StoredSchedule] {
        let rows = try await database.query("SELECT name, cron, next_at FROM apus_job_schedule")
        return try rows.reduce(into: [:]) { schedules, row in
            schedules[ExactString(try row.get(0))] = StoredSchedule(cron: try row.get(1), next: try row.get(2))
        }
    }

    /// Stores a schedule that is new or has changed.
    func store(_ schedule: StoredSchedule, of name: String) async throws {
        try await database.execute(
            """
            INSERT INTO apus_job_schedule (name, cron, next_at) VALUES (\(name), \(schedule.cron), \(schedule.next.sqlValue))
            ON CONFLICT (name) DO UPDATE SET cron = excluded.cron, next_at = excluded.next_at
            WHERE apus_job_schedule.cron <> excluded.cron
            """)
    }

    /// Moves a schedule from one time to the next.
    /// - Returns: `false` if another process has done so.
    func advance(_ name: String, from time: Date, to next: Date?, _ now: Date) async throws -> Bool {
        try await database.execute(
            """
            UPDATE apus_job_schedule SET next_at = \(next.sqlValue), last_at = \(now)
            WHERE name = \(name) AND next_at = \(time)
            """) > 0
    }
}
