import ApusCore
import ApusJSON
import FoundationEssentials

/// Which jobs of a kind are the same: those with the same key, while one is in one of some states, and within a period.
///
/// A unique index of the database enforces it, however many processes enqueue at the same time.
///
/// ```swift
/// struct SyncAccount: Job {
///     static let name = "sync-account"
///     static let uniqueness: Uniqueness<Self>? = .by(\.account, per: .seconds(3600))
///     let account: Account.ID
///     let reason: String
/// }
/// ```
public struct Uniqueness<Work: Job>: Sendable {
    let key: @Sendable (Work) throws -> String
    let period: Duration?
    let states: Set<JobState>

    /// The states of jobs that are not done: ``JobState/waiting``, ``JobState/available`` and ``JobState/running``.
    public static var unfinished: Set<JobState> { [.waiting, .available, .running] }

    /// Jobs are the same if some of their fields are.
    /// - Parameters:
    ///   - fields: The fields. Their values are compared as JSON.
    ///   - period: If given, only jobs whose times lie in the same period are the same. Periods begin at whole multiples of
    ///     it since 1970 in UTC.
    ///   - states: The states in which a job forbids another one. Those of jobs that are not done always count. Include
    ///     ``JobState/completed`` to enqueue a job once in a period, or once in all the time that it is retained.
    public static func by<each Field: Encodable & Sendable>(
        _ fields: repeat any KeyPath<Work, each Field> & Sendable, per period: Duration? = nil,
        while states: Set<JobState> = unfinished
    ) -> Uniqueness {
        Uniqueness(period: period, states: states) { work in
            try JSONText.array(of: work, repeat each fields)
        }
    }

    /// Jobs are the same if all of their arguments are, compared as JSON.
    public static func byArguments(
        per period: Duration? = nil, while states: Set<JobState> = unfinished
    ) -> Uniqueness {
        Uniqueness(period: period, states: states) { try JSONText.text(of: $0) }
    }

    /// Jobs are the same if a key is.
    public static func byKey(
        per period: Duration? = nil, while states: Set<JobState> = unfinished,
        _ key: @escaping @Sendable (Work) -> String
    ) -> Uniqueness {
        Uniqueness(period: period, states: states, key: key)
    }

    private init(period: Duration?, states: Set<JobState>, key: @escaping @Sendable (Work) throws -> String) {
        self.key = key
        self.period = period
        self.states = states.union(Self.unfinished)
    }

    /// The stored key of a job that is to run at a time.
    func storedKey(of work: Work, at date: Date) throws -> String {
        let key = try key(work)
        guard let period, period > .zero else { return key }
        return "\(Int((date.timeIntervalSince1970 / period.seconds).rounded(.down))) \(key)"
    }
}
