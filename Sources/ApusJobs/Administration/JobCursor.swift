import FoundationEssentials

/// The place of a job in a list, see ``JobQueue/list(_:kind:queue:tag:after:limit:)``.
package struct JobCursor: Codable, Sendable {
    let id: JobRecord.ID
    let queue: String
    let group: String?
    let priority: Int
    let runAt: Double
    let finishedAt: Double?

    package init(_ job: JobRecord) {
        id = job.id
        queue = job.queue
        group = job.group
        priority = job.priority.rawValue
        // Whole microseconds, as they are stored: the text of a date has milliseconds.
        runAt = job.runAt.timeIntervalSince1970
        finishedAt = job.finishedAt?.timeIntervalSince1970
    }
}
