public import ApusCore
import ApusData
public import ApusJobs
import Logging

extension JobQueue {
    /// Returns the jobs of a kind that are not done, in the order in which they were enqueued.
    ///
    /// ```swift
    /// #expect(try await jobs.enqueued(SendReceipt.self).map(\.order) == [order.id])
    /// ```
    /// - Throws: What ``ApusJobs/Job/decode(_:)`` throws.
    public func enqueued<Work: Job>(_ kind: Work.Type) async throws -> [Work] {
        var records: [JobRecord] = []
        for state in [JobState.waiting, .available, .running] {
            var last: JobRecord?
            while true {
                let page = try await list(state, kind: Work.name, after: last, limit: 500)
                guard let final = page.last else { break }
                records += page
                last = final
            }
        }
        return try records.sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }.map {
            try Work.decode($0.arguments)
        }
    }

    /// Runs all jobs that are due, and those that they enqueue, in the current task and one after the other.
    /// - Returns: The number of attempts made.
    @discardableResult
    public func drain(_ workers: any Worker...) async throws -> Int {
        let logger = Logger(label: "jobs") { _ in SwiftLogNoOpLogHandler() }
        return try await JobRunner(self, workers: workers, logger: logger).runAvailable()
    }

    /// Waits until a job is in a state, which a runner of this process that has this queue brings about.
    /// - Parameter state: The state. By default any in which the job is done.
    /// - Returns: The job.
    /// - Throws: An `AppError` of code `notFound` if there is no such job, or `CancellationError`.
    @discardableResult
    public func wait(for id: JobRecord.ID, until state: JobState? = nil) async throws -> JobRecord {
        let changes = signal.listenToOutcomes()
        while true {
            try Task.checkCancellation()
            guard let job = try await find(id) else { throw AppError(.notFound, "There is no job with the id \(id).") }
            if state.map({ $0 == job.state }) ?? job.state.isFinal { return job }
            await changes.wait()
        }
    }
}
