import ApusCore
import ApusJobs
import Foundation

extension App {
    /// Lists or administers jobs, and prints the result.
    func administerJobs(_ action: JobsAction, _ assembly: Assembly) async throws {
        _ = try assembly.requiredDatabase
        let queue = try assembly.container.resolve(JobQueue.self)
        switch action {
        case .status: try await printStatus(of: queue)
        case .list(let filter, let limit): try await list(filter, limit, queue)
        case .show(let id): try await show(id, queue)
        case .retry(let ids): try await change(ids, "retried") { try await queue.retry($0) }
        case .retryDiscarded(let filter):
            print("retried \(try await queue.retryDiscarded(kind: filter.kind, queue: filter.queue)) dead letters")
        case .cancel(let ids): try await change(ids, "cancelled") { try await queue.cancel($0) }
        case .delete(let ids): try await change(ids, "deleted") { try await queue.delete($0) }
        case .pause(let name):
            try await queue.pause(name)
            print("paused \(name)")
        case .resume(let name):
            try await queue.resume(name)
            print("resumed \(name)")
        }
    }

    private func change(
        _ ids: [JobRecord.ID], _ change: String, _ body: (JobRecord.ID) async throws -> Void
    ) async throws {
        for id in ids {
            try await body(id)
            print("\(change) \(id)")
        }
    }

    private func printStatus(of queue: JobQueue) async throws {
        var queues = TextTable("QUEUE", "AVAILABLE", "RUNNING", "LATENCY", "")
        for line in try await queue.statistics() {
            queues.add(
                line.queue, "\(line.available)", "\(line.running)", line.latency.map(Self.seconds) ?? "-",
                line.isPaused ? "paused" : "")
        }
        let counts = try await queue.counts()
        var states = TextTable("STATE", "JOBS")
        for state in JobState.allCases {
            let count = counts[state] ?? 0
            states.add(state.rawValue, count == JobQueue.maximumCount ? "\(count) or more" : "\(count)")
        }
        var processes = TextTable("HOST", "PROCESS", "STARTED", "SEEN", "")
        for process in try await queue.processes() {
            processes.add(
                process.host, "\(process.processID)", Self.text(of: process.startedAt), Self.text(of: process.seenAt),
                process.isLeader ? "leader" : "")
        }
        var schedules = TextTable("SCHEDULE", "TIMES", "NEXT", "LAST")
        for schedule in try await queue.schedules() {
            schedules.add(
                schedule.name, schedule.cron, schedule.nextAt.map(Self.text) ?? "-",
                schedule.lastAt.map(Self.text) ?? "-")
        }
        print(
            [queues, states, processes, schedules].filter { !$0.isEmpty }.map(\.description).joined(separator: "\n\n"))
    }

    private func list(_ filter: JobFilter, _ limit: Int, _ queue: JobQueue) async throws {
        let jobs = try await queue.list(
            filter.state, kind: filter.kind, queue: filter.queue, tag: filter.tag, limit: limit)
        var table = TextTable("ID", "KIND", "QUEUE", "ATTEMPT", "TIME", "ERROR")
        for job in jobs {
            let error = job.lastError.map { String($0.prefix { !$0.isNewline }.prefix(80)) } ?? ""
            table.add(
                "\(job.id)", job.kind, job.queue, "\(job.attempt)/\(job.maxAttempts)",
                Self.text(of: job.finishedAt ?? job.runAt), error)
        }
        print(table.isEmpty ? "no \(filter.state.rawValue) jobs" : table.description)
    }

    private func show(_ id: JobRecord.ID, _ queue: JobQueue) async throws {
        guard let job = try await queue.find(id) else {
            throw AppError(.notFound, "There is no job with the id \(id).")
        }
        var fields = TextTable()
        fields.add("id", "\(job.id)")
        fields.add("kind", "\(job.kind) (version \(job.arguments.version))")
        fields.add("state", job.state.rawValue)
        fields.add("queue", "\(job.queue), \(job.priority)")
        fields.add("attempts", "\(job.attempt) of \(job.maxAttempts)")
        fields.add("enqueued", Self.text(of: job.createdAt))
        fields.add("runs from", Self.text(of: job.runAt))
        if let time = job.attemptedAt { fields.add("started", Self.text(of: time)) }
        if let time = job.finishedAt { fields.add("finished", Self.text(of: time)) }
        if !job.tags.isEmpty { fields.add("tags", job.tags.joined(separator: ", ")) }
        if let key = job.uniqueKey { fields.add("unique", key) }
        if let group = job.group { fields.add("group", group) }
        for need in try await queue.needs(of: id) { fields.add("waits for", "\(need)") }
        fields.add("arguments", job.arguments.json)
        print(fields)
        for error in try await queue.errors(of: id) {
            print("\nattempt \(error.attempt), \(Self.text(of: error.time))\n\(error.description)")
        }
    }

    private static func text(of date: Date) -> String { date.formatted(.iso8601) }
    private static func seconds(_ duration: Duration) -> String { String(format: "%.1f s", duration.seconds) }
}
