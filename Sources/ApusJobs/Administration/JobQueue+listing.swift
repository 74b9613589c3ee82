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
        let filter = filter(kind: kind, queue: queue, tag: tag) ?? "1 = 1"
        var jobs: [JobRecord] = []
        for part in parts(of: state, after: last.map { JobCursor($0) }) where jobs.count < limit {
            jobs += try await database.query(
                """
                SELECT \(JobRecord.columns) FROM apus_job WHERE \(part.condition) AND \(filter)
                ORDER BY \(part.order) LIMIT \(limit - jobs.count)
                """
            ).map(JobRecord.init(row:))
        }
        return jobs
    }

    /// Returns a page of ``list(_:kind:queue:tag:after:limit:)``, without the arguments of the jobs. It looks at a limited
    /// number of jobs, so that it takes little time if few of many match: a page may have few jobs, or none, and a next one.
    /// - Parameter maximumExamined: The number of jobs that are looked at.
    package func page(
        _ state: JobState, kind: String? = nil, queue: String? = nil, tag: String? = nil, after last: JobCursor?,
        limit: Int, maximumExamined: Int = 20_000
    ) async throws -> (jobs: [JobRecord], next: JobCursor?) {
        let filter = filter(kind: kind, queue: queue, tag: tag)
        var jobs: [JobRecord] = []
        for part in parts(of: state, after: last) {
            let examined: SQL = """
                SELECT \(JobRecord.columnsWithoutArguments) FROM apus_job WHERE \(part.condition) ORDER BY \(part.order)
                """
            let room = limit + 1 - jobs.count
            let page: SQL =
                if let filter {
                    """
                    SELECT * FROM (\(examined) LIMIT \(maximumExamined)) AS examined WHERE \(filter)
                    ORDER BY \(part.order) LIMIT \(room)
                    """
                } else {
                    "\(examined) LIMIT \(room)"
                }
            jobs += try await database.query(page).map(JobRecord.init(row:))
            if jobs.count > limit { return (Array(jobs.prefix(limit)), JobCursor(jobs[limit - 1])) }
            guard filter != nil else { continue }
            let end = try await database.query("\(examined) LIMIT 1 OFFSET \(maximumExamined - 1)").first
            if let end { return (jobs, JobCursor(try JobRecord(row: end))) }
        }
        return (jobs, nil)
    }

    private func filter(kind: String?, queue: String?, tag: String?) -> SQL? {
        var conditions: [SQL] = []
        if let kind { conditions.append("kind = \(kind)") }
        if let queue { conditions.append("queue = \(queue)") }
        // Tags have no line breaks, and tags between line breaks are whole ones.
        if let tag {
            let find = SQL(stringLiteral: database.dialect == .sqlite ? "instr" : "strpos")
            conditions.append("\(find)(\("\n") || tags || \("\n"), \("\n\(tag)\n")) > 0")
        }
        return conditions.isEmpty ? nil : .joined(conditions, separator: " AND ")
    }

    /// The parts of a list, each in the order of an index.
    private func parts(of state: JobState, after last: JobCursor?) -> [(condition: SQL, order: SQL)] {
        let name = SQL(stringLiteral: "state = '\(state.rawValue)'")
        return unnamedParts(of: state, after: last).map { ("\(name) AND \($0.condition)", $0.order) }
    }

    private func unnamedParts(of state: JobState, after last: JobCursor?) -> [(condition: SQL, order: SQL)] {
        switch state {
        case .waiting: [(last.map { "id > \($0.id)" } ?? "id IS NOT NULL", "id")]
        case .running:
            // Few jobs run. They are sorted, because the index of identifiers contains all jobs.
            switch database.dialect {
            case .sqlite: [(last.map { "+id > \($0.id)" } ?? "id IS NOT NULL", "+id")]
            case .postgres:
                [
                    (
                        last.map { "id::text COLLATE \"C\" > \($0.id.description)" } ?? "id IS NOT NULL",
                        "id::text COLLATE \"C\""
                    )
                ]
            }
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
        let groupedOrder: SQL = "queue, group_key, priority, run_at, id"
        var ungrouped: SQL = "group_key IS NULL"
        if let last {
            let position: SQL = "\(last.priority), \(Date(timeIntervalSince1970: last.runAt)), \(last.id)"
            if let group = last.group {
                let condition: SQL = """
                    group_key IS NOT NULL
                        AND (queue, group_key, priority, run_at, id) > (\(last.queue), \(group), \(position))
                    """
                return [(condition, groupedOrder)]
            }
            ungrouped = "\(ungrouped) AND (queue, priority, run_at, id) > (\(last.queue), \(position))"
        }
        return [(ungrouped, "queue, priority, run_at, id"), ("group_key IS NOT NULL", groupedOrder)]
    }

    /// Returns why the attempts at a job have failed, the first one first.
    public func errors(of id: JobRecord.ID) async throws -> [JobError] {
        try await database.query(
            "SELECT attempt, failed_at, description FROM apus_job_error WHERE job = \(id) ORDER BY failed_at, attempt"
        ).map(JobError.init(row:))
    }
}
