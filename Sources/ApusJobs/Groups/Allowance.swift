import ApusCore
import ApusData
import FoundationEssentials

/// What the limits of a queue allow a claim to take.
struct Allowance {
    /// How many jobs of the queue may start.
    private(set) var room: Int
    private let rules: QueueConfiguration
    private let now: Date
    private var pacer: RatePacer?
    private var runningOfGroups: [ExactString: Int]
    private var pacers: [ExactString: RatePacer] = [:]

    init(_ queue: QueueState, _ rules: QueueConfiguration, limit: Int, now: Date) {
        self.rules = rules
        self.now = now
        runningOfGroups = queue.runningOfGroups
        pacer = rules.limit.rate.map { RatePacer($0, stored: queue.due, now: now) }
        room = min(limit, (rules.limit.concurrency ?? .max) - queue.running)
        if let pacer, pacer.next > now.timeIntervalSince1970 + 1e-6 { room = 0 }
    }

    /// When the rate of the queue allows the next job to start, if it does not now.
    var next: Date? {
        guard let pacer, pacer.next > now.timeIntervalSince1970 else { return nil }
        return Date(timeIntervalSince1970: pacer.next)
    }

    /// Chooses jobs, the first one of each group, then the second ones, and so on.
    /// - Parameter candidates: The jobs that are due, by group, in the order of the groups.
    mutating func choose(from candidates: [[Candidate]]) -> [Candidate] {
        var chosen: [Candidate] = []
        for turn in 0..<(candidates.map(\.count).max() ?? 0) {
            for group in candidates where turn < group.count {
                guard chosen.count < room else { return chosen }
                guard allows(group[turn]) else { continue }
                guard pacer?.start() != false else { return chosen }
                record(group[turn])
                chosen.append(group[turn])
            }
        }
        return chosen
    }

    private func allows(_ job: Candidate) -> Bool {
        guard let key = job.group.map({ ExactString($0) }) else { return true }
        if let limit = rules.groupLimit.concurrency, runningOfGroups[key, default: 0] >= limit { return false }
        guard let rate = rules.groupLimit.rate else { return true }
        var pacer = pacers[key] ?? RatePacer(rate, stored: job.due, now: now)
        return pacer.start()
    }

    private mutating func record(_ job: Candidate) {
        guard let key = job.group.map({ ExactString($0) }) else { return }
        runningOfGroups[key, default: 0] += 1
        guard let rate = rules.groupLimit.rate else { return }
        var pacer = pacers[key] ?? RatePacer(rate, stored: job.due, now: now)
        _ = pacer.start()
        pacers[key] = pacer
    }

    /// The statement that stores what was used of the rate of a queue, and whose turn was last.
    func change(of queue: String, lastGroup: String?) -> SQL {
        """
        UPDATE apus_job_queue SET last_group = \(lastGroup.sqlValue), due = \(pacer?.stored ?? 0) WHERE name = \(queue)
        RETURNING NULL
        """
    }

    /// The statements that store what was used of the rates of groups.
    func changesOfGroups(of queue: String) -> [SQL] {
        pacers.sorted { $0.key.text < $1.key.text }.map { group, pacer in
            """
            INSERT INTO apus_job_group (queue, name, due) VALUES (\(queue), \(group.text), \(pacer.stored))
            ON CONFLICT (queue, name) DO UPDATE SET due = excluded.due RETURNING NULL
            """
        }
    }
}
