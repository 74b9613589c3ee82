import ApusCore
import ApusHTTP
import ApusJobs
import FoundationEssentials

/// What the dashboard shows of a job in a list.
struct JobSummary: Encodable, Sendable {
    let id: JobRecord.ID
    let kind: String
    let version: Int
    let queue: String
    let group: String?
    let priority: String
    let state: JobState
    let attempt: Int
    let maxAttempts: Int
    let tags: [String]
    let uniqueKey: String?
    let timeoutMilliseconds: Int?
    let runAt: Date
    let createdAt: Date
    let attemptedAt: Date?
    let finishedAt: Date?
    let lastError: String?

    init(_ job: JobRecord) {
        id = job.id
        kind = job.kind
        version = job.arguments.version
        queue = job.queue
        group = job.group
        priority = "\(job.priority)"
        state = job.state
        attempt = job.attempt
        maxAttempts = job.maxAttempts
        tags = job.tags
        uniqueKey = job.uniqueKey
        timeoutMilliseconds = job.timeout.map { Int($0.seconds * 1000) }
        runAt = job.runAt
        createdAt = job.createdAt
        attemptedAt = job.attemptedAt
        finishedAt = job.finishedAt
        lastError = job.lastError
    }
}

/// What the dashboard shows of a job.
struct JobDetails: Encodable, Sendable, ResponseConvertible {
    struct Failure: Encodable, Sendable {
        let attempt: Int
        let time: Date
        let description: String
    }

    let job: JobSummary
    /// The JSON of the arguments, as it is stored.
    let arguments: String
    let errors: [Failure]
    /// The jobs for which it waits.
    let needs: [JobRecord.ID]

    init(job: JobSummary, arguments: String, errors: [JobError], needs: [JobRecord.ID]) {
        self.job = job
        self.arguments = arguments
        self.errors = errors.map { Failure(attempt: $0.attempt, time: $0.time, description: $0.description) }
        self.needs = needs
    }
}

/// The jobs, or the queue, that an action of the dashboard concerns.
struct JobSelection: Decodable, Sendable {
    var kind: String?
    var queue: String?

    var requiredQueue: String {
        get throws {
            guard let queue else { throw AppError(.invalidArgument, "The field \"queue\" is missing: name the queue.") }
            return queue
        }
    }
}

/// The number of jobs that were made available again.
struct RetriedJobs: Encodable, Sendable, ResponseConvertible {
    let count: Int
    /// Whether there are no more.
    let isComplete: Bool
}

extension JobState: LosslessStringConvertible {}
