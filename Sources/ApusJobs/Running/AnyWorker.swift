import ApusCore

/// A type-erased worker.
struct AnyWorker: Sendable {
    let kind: String
    let version: Int
    let queue: String
    let hasGroups: Bool
    let timeout: Duration
    let perform: @Sendable (JobArguments, JobContext) async throws -> Void
    let delay: @Sendable (Int, AppError) -> Duration

    init<W: Worker>(_ worker: W) {
        kind = W.Work.name
        version = W.Work.version
        queue = W.Work.queue
        hasGroups = W.Work.group != nil
        timeout = W.Work.timeout
        perform = { arguments, context in
            let job: W.Work
            do {
                job = try W.Work.decode(arguments)
            } catch {
                throw AppError(
                    .invalidArgument,
                    "The stored arguments of version \(arguments.version) cannot be decoded as a \"\(W.Work.name)\" job.",
                    cause: error)
            }
            try await worker.perform(job, context)
        }
        delay = { worker.delay(afterAttempt: $0, error: $1) }
    }

    /// The kind with each version that the program knows, as a claim compares them.
    var names: [String] { (1...max(1, version)).map { "\(kind) \($0)" } }
}
