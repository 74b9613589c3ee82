public import ApusCore
import ApusData
import ApusJSON
import FoundationEssentials

extension JobContext {
    /// Waits for other jobs without occupying a slot: if one of them is not completed yet, the attempt ends by an error that
    /// the worker must not catch, and the worker is called again when all are. The attempt does not count.
    ///
    /// What was done before belongs into steps, because it is done again otherwise:
    ///
    /// ```swift
    /// let parts = try await context.step("split") { try await split(job.file) }
    /// try await context.wait(for: parts)
    /// ```
    /// - Throws: ``JobDecision/wait(for:)``, or an `AppError` of code `failedPrecondition` if one of the jobs is a dead letter
    ///   or cancelled, or `notFound` if it does not exist.
    public func wait(for jobs: [JobRecord.ID]) async throws {
        let rows = try await store.database.query("SELECT id, state FROM apus_job WHERE id IN \(list: jobs)")
        var states: [JobRecord.ID: JobState] = [:]
        for row in rows { states[try row.get(0)] = try row.get(1) }
        var isDone = true
        for id in jobs {
            guard id != self.id else { throw AppError(.invalidArgument, "The job \(id) cannot wait for itself.") }
            guard let state = states[id] else {
                throw AppError(.notFound, "There is no job with the id \(id) to wait for.")
            }
            switch state {
            case .completed: continue
            case .waiting, .available, .running: isDone = false
            case .cancelled, .discarded:
                throw AppError(.failedPrecondition, "The job \(id) is \(state.rawValue). It cannot be waited for.")
            }
        }
        guard isDone else { throw JobDecision.wait(for: jobs) }
    }

    /// Does a part of the job once: its result is stored, and returned by later attempts, which do not do it again.
    ///
    /// If the process dies before the result is stored, the step is done again. A step in a transaction, together with its
    /// effects, is done exactly once.
    /// - Parameter name: The name of the step, unique in the job.
    /// - Returns: The result, as it is decoded from its stored JSON or as it was returned.
    /// - Throws: The error of the step, or an `AppError` of code `aborted` if another worker has taken over the job.
    public func step<Result: Codable & Sendable>(
        _ name: String, _ body: () async throws -> Result
    ) async throws -> Result {
        let stored = try await store.database.query(
            "SELECT result FROM apus_job_step WHERE job = \(id) AND name = \(name)")
        if let json: String = try stored.first?.get(0) {
            return try JSON.Decoder.standard.decode(Result.self, from: json.utf8)
        }
        let result = try await body()
        let count = try await store.database.execute(
            """
            INSERT INTO apus_job_step (job, name, result)
            SELECT id, CAST(\(name) AS TEXT), CAST(\(try JSONText.text(of: result)) AS TEXT) FROM apus_job
            WHERE id = \(id) AND fence = \(job.fence) AND state = 'running'
            """)
        guard count > 0 else { throw Self.leaseLost }
        return result
    }

    /// Does a part of the job without a result once, see ``step(_:_:)-(_,()->Result)``.
    public func step(_ name: String, _ body: () async throws -> Void) async throws {
        _ = try await step(name) {
            try await body()
            return true
        }
    }
}
