public import ApusData

/// The state of a job.
public enum JobState: String, Codable, Sendable, CaseIterable, SQLValueConvertible {
    /// Waits for other jobs.
    case waiting
    /// Waits for its time or for a free worker.
    case available
    /// An attempt is in progress.
    case running
    /// Performed successfully.
    case completed
    /// Not needed any more.
    case cancelled
    /// A dead letter, which needs manual intervention.
    case discarded

    /// Whether jobs in this state stay as they are until somebody changes them.
    public var isFinal: Bool {
        switch self {
        case .waiting, .available, .running: false
        case .completed, .cancelled, .discarded: true
        }
    }

    /// The bit of this state in a stored set of states.
    var bit: Int {
        switch self {
        case .waiting: 1
        case .available: 2
        case .running: 4
        case .completed: 8
        case .cancelled: 16
        case .discarded: 32
        }
    }
}

extension Set<JobState> {
    /// The set as it is stored.
    var mask: Int { reduce(0) { $0 | $1.bit } }
}
