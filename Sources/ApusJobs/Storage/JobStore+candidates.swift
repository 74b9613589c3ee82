import ApusCore
import ApusData
import FoundationEssentials

/// A due job that a claim may take.
struct Candidate {
    let id: JobRecord.ID
    let group: String?
    /// What was used of the rate of the group, see ``RatePacer``.
    let due: Int
}

/// The due jobs of some of the groups of a queue.
struct Candidates {
    /// By group, in the order of the groups' turns.
    var jobs: [[Candidate]] = []
    /// The last group that was visited; `nil` if the jobs without a group were.
    var lastGroup: String?
    var isComplete = false
    var hasWrapped = false
}

extension JobStore {
    /// How many groups a claim visits, beside those of which it takes jobs.
    private static let visits = 50

    /// Returns due jobs of the groups after the last one whose turn it was, of the jobs without a group, and of the groups
    /// from the first one on.
    func candidates(
        _ claim: Claim, _ rules: QueueConfiguration, _ queue: QueueState, room: Int
    ) async throws -> Candidates {
        let search = GroupSearch(
            claim: claim, rules: rules, full: queue.full(rules), now: clock.now, room: room, visits: room + Self.visits)
        var searches = [search.ungrouped]
        if queue.hasDueGroups {
            searches.append(search.sql(after: queue.lastGroup, upTo: nil, dialect: database.dialect))
            // Without a last group, the first search has visited all.
            if let last = queue.lastGroup {
                searches.append(search.sql(after: nil, upTo: last, dialect: database.dialect))
            }
        }
        let rows = try await database.batch(searches)
        var result = Candidates(lastGroup: queue.lastGroup)
        guard try rows.count < 2 || result.append(rows[1], visits: search.visits) else { return result }
        result.hasWrapped = true
        result.lastGroup = nil
        let ungrouped = try rows[0].map { Candidate(id: try $0.get(0), group: nil, due: 0) }
        if !ungrouped.isEmpty { result.jobs.append(ungrouped) }
        result.isComplete = try rows.count < 3 || result.append(rows[2], visits: search.visits)
        return result
    }
}

extension QueueState {
    /// The groups that already run as many jobs as they may.
    fileprivate func full(_ rules: QueueConfiguration) -> [String] {
        guard let limit = rules.groupLimit.concurrency else { return [] }
        return runningOfGroups.filter { $0.value >= limit }.map(\.key.text)
    }
}

extension Candidates {
    /// Adds what a search has found.
    /// - Returns: Whether it has visited all groups.
    fileprivate mutating func append(_ rows: [Row], visits: Int) throws -> Bool {
        var last: (number: Int, name: String?) = (0, nil)
        for row in rows {
            let number: Int = try row.get(0)
            let name: String? = try row.get(1)
            guard let id: JobRecord.ID = try row.get(2), let name else {
                last = (number, name)
                continue
            }
            let job = Candidate(id: id, group: name, due: try row.get(3) as Int? ?? 0)
            if jobs.last?.first?.group.map({ ExactString($0) }) == ExactString(name) {
                jobs[jobs.count - 1].append(job)
            } else {
                jobs.append([job])
            }
        }
        guard let name = last.name, last.number >= visits else { return true }
        lastGroup = name
        return false
    }
}

/// The statements that look for the due jobs of groups.
private struct GroupSearch {
    let claim: Claim
    let rules: QueueConfiguration
    /// The groups to pass over.
    let full: [String]
    let now: Date
    let room: Int
    let visits: Int

    /// The maximum number of jobs to return of one group.
    private var jobsOfGroup: Int { min(50, max(1, room / 4)) }

    /// The due jobs without a group.
    var ungrouped: SQL { "SELECT id FROM (\(jobs("group_key IS NULL", limit: room))) AS due ORDER BY rank" }

    /// The due jobs of groups, by the number and the name of the group, and at the end the number and name of the last
    /// group that was visited; its name is null if there are no further groups.
    ///
    /// It jumps from one group to the next in the index, however many jobs each has.
    func sql(after first: String?, upTo last: String?, dialect: SQLDialect) -> SQL {
        let start: SQL = first.map { "group_key > \($0)" } ?? "group_key IS NOT NULL"
        let end: SQL = last.map { " AND group_key <= \($0)" } ?? ""
        let group: SQL = "SELECT min(group_key) FROM apus_job WHERE state = 'available' AND queue = \(claim.queue)"
        return """
            WITH RECURSIVE visit (number, name) AS (
                SELECT 1, (\(group) AND \(start)\(end))
                UNION ALL
                SELECT number + 1, (\(group) AND group_key > visit.name\(end))
                FROM visit WHERE name IS NOT NULL AND number < \(visits)
            )
            SELECT number, name, job.value, (SELECT due FROM apus_job_group WHERE queue = \(claim.queue) AND name = visit.name)
            FROM visit, \(lateral(jobs("group_key = visit.name", limit: jobsOfGroup), dialect)) AS job
            WHERE name IS NOT NULL AND NOT (name IN \(list: full))\(isNotBlocked)
            UNION ALL
            SELECT number, name, NULL, NULL FROM (SELECT number, name FROM visit ORDER BY number DESC LIMIT 1) AS last_visit
            """
    }

    /// A subquery of ids that sees the columns of the tables before it. SQLite allows this only to functions.
    private func lateral(_ query: SQL, _ dialect: SQLDialect) -> SQL {
        switch dialect {
        case .postgres: "LATERAL (SELECT id AS value FROM (\(query)) AS due ORDER BY rank)"
        case .sqlite: "json_each((SELECT json_group_array(id) FROM (SELECT id FROM (\(query)) AS due ORDER BY rank)))"
        }
    }

    private var isNotBlocked: SQL {
        guard let rate = rules.groupLimit.rate else { return "" }
        let blocked = RatePacer.blocked(rate, now: now)
        return """
             AND NOT EXISTS (
                SELECT 1 FROM apus_job_group WHERE queue = \(claim.queue) AND name = visit.name
                    AND due BETWEEN \(blocked.lowerBound) AND \(blocked.upperBound))
            """
    }

    /// The first due jobs, by priority and time. Each priority is a part of its own, so that jobs of the future do not have to
    /// be passed over.
    private func jobs(_ condition: SQL, limit: Int) -> SQL {
        let parts = JobPriority.allCases.map { priority -> SQL in
            """
            SELECT * FROM (
                SELECT id, priority, run_at FROM apus_job
                WHERE state = 'available' AND queue = \(claim.queue) AND \(condition)
                    AND priority = \(SQL(stringLiteral: "\(priority.rawValue)")) AND run_at <= \(now)
                    AND (kind || ' ' || version) IN \(list: claim.kinds)
                ORDER BY run_at, id LIMIT \(limit)
            ) AS part
            """
        }
        return """
            SELECT id, row_number() OVER (ORDER BY priority, run_at, id) AS rank
            FROM (\(SQL.joined(parts, separator: " UNION ALL "))) AS parts ORDER BY rank LIMIT \(limit)
            """
    }
}
