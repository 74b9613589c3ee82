/// To which group each job of a kind belongs, for example to a customer.
///
/// Workers take jobs of the groups of a queue in turn, so that a group with many jobs does not delay the others. Within a
/// group, priority and time decide. ``QueueConfiguration/groupLimit`` limits what runs of each group.
///
/// ```swift
/// struct SyncAccount: Job {
///     static let name = "sync-account"
///     static let queue = "sync"
///     static let group: JobGroup<Self>? = .by(\.account)
///     let account: Account.ID
/// }
/// ```
public struct JobGroup<Work: Job>: Sendable {
    let key: @Sendable (Work) throws -> String

    /// Jobs belong to the same group if some of their fields are the same.
    /// - Parameter fields: The fields. Their values are compared as JSON.
    public static func by<each Field: Encodable & Sendable>(
        _ fields: repeat any KeyPath<Work, each Field> & Sendable
    ) -> JobGroup {
        JobGroup { work in try JSONText.array(of: work, repeat each fields) }
    }

    /// Jobs belong to the same group if a key is the same. Kinds of one queue share a group by the same key.
    public static func byKey(_ key: @escaping @Sendable (Work) -> String) -> JobGroup { JobGroup(key: key) }
}
