public import ApusCore
import ApusData
import FoundationEssentials

/// What is known of jobs.
extension JobQueue {
    /// Returns a job; `nil` if there is none with this id.
    public func find(_ id: JobRecord.ID) async throws -> JobRecord? {
        try await database.query("SELECT \(JobRecord.columns) FROM apus_job WHERE id = \(id)").first
            .map(JobRecord.init(row:))
    }

    /// Returns jobs in a state: those that are done by the time of their end, the latest first, those that wait for their time
    /// or for a worker by queue, group, priority and time, and others by their ids.
    /// - Parameters:
    ///   - kind: If given, only jobs of this kind.
    ///   - queue: If given, only jobs of this queue.
    ///   - tag: If given, only jobs with this tag.
    ///   - last: If given, only jobs after this one, for the next page.
    ///   - limit: The maximum number of jobs. 100.
    public func list(
        _ state: JobState, kind: String? = nil, queue: String? = nil, tag: String? = nil, after last: JobRecord? = nil,
        limit: Int = 100
    ) async throws -> [JobRecord] {
        try await list(state, kind: kind, queue: queue, tag: tag, after: last.map { JobCursor($0) }, limit: limit)
    }

    package func list(
        _ state: JobState, kind: String?, queue: String?, tag: String?, after last: JobCursor?, limit: Int
    ) async throws -> [JobRecord] {
        var filter: SQL = "state = \(SQL(stringLiteral: "'\(state.rawValue)'"))"
        if let kind { filter = "\(filter) AND kind = \(kind)" }
        if let queue { filter = "\(filter) AND queue = \(queue)" }
        // Tags have no line breaks, and tags between line breaks are whole ones.
        if let tag {
            let pattern = "%\n\(tag.map { "\\%_".contains($0) ? "\\\($0)" : "\($0)" }.joined())\n%"
            filter = "\(filter) AND \("\n") || tags || \("\n") LIKE \(pattern) ESCAPE \("\\")"
        }
        var jobs: [JobRecord] = []
        for part in parts(of: state, after: last) where jobs.count < limit {
            jobs += try await database.query(
                """
                SELECT \(JobRecord.columns) FROM apus_job WHERE \(filter) AND \(part.condition)
                ORDER BY \(part.order) LIMIT \(limit - jobs.count)
                """
            ).map(JobRecord.init(row:))
        }
        return jobs
    }

    /// The parts of a list, each in the order of an index.
    private func parts(of state: JobState, after last: JobCursor?) -> [(condition: SQL, order: SQL)] {
        switch state {
        case .waiting, .running:
            [(last.map { "id > \($0.id)" } ?? "id IS NOT NULL", "id")]
        case .completed, .cancelled, .discarded:
            [
                (
                    last.map {
                        "(finished_at, id) < (\($0.finishedAt.map { Date(timeIntervalSince1970: $0) }.sqlValue), \($0.id)) AND finished_at IS NOT NULL"
                    }
                        ?? "finished_at IS NOT NULL", "finished_at DESC, id DESC"
                )
            ]
        case .available: availableParts(after: last)
        }
    }

    private func availableParts(after last: JobCursor?) -> [(condition: SQL, order: SQL)] {
        var ungrouped: SQL = "group_key IS NULL"
        var grouped: SQL = "group_key IS NOT NULL"
        if let last {
            let position: SQL = "\(last.priority), \(Date(timeIntervalSince1970: last.runAt)), \(last.id)"
            if let group = last.group {
                ungrouped = "\(ungrouped) AND id IS NULL"
                grouped = """
                    \(grouped) AND (queue, group_key, priority, run_at, id) > (\(last.queue), \(group), \(position))
                    """
            } else {
                ungrouped = "\(ungrouped) AND (queue, priority, run_at, id) > (\(last.queue), \(position))"
            }
        }
        return [(ungrouped, "queue, priority, run_at, id"), (grouped, "queue, group_key, priority, run_at, id")]
    }

    /// Returns why the attempts at a job have failed, the first one first.
    public func errors(of id: JobRecord.ID) async throws -> [JobError] {
        try await database.query(
            "SELECT attempt, failed_at, description FROM apus_job_error WHERE job = \(id) ORDER BY failed_at, attempt"
        ).map(JobError.init(row:))
    }
}
