import ApusJSON

/// A durable background job. Its arguments are stored as JSON until a ``Worker`` has performed it.
///
/// A job is performed at least once. It may be performed again after a crash, so its worker must be idempotent: pass
/// the other system an idempotency key, or complete the job in the same transaction as its effects, by
/// ``JobContext/complete(with:)``.
///
/// ```swift
/// struct SendReceipt: Job {
///     static let name = "send-receipt"
///     let order: Order.ID
/// }
/// ```
public protocol Job: Codable, Sendable {
    /// The stored name of the job. It must be stable: a new version of the program runs jobs that an old one enqueued.
    static var name: String { get }
    /// The version of the arguments, stored with each job. 1 by default. Raise it when older programs cannot decode the
    /// arguments any more: they leave the job to programs that know its version.
    static var version: Int { get }
    /// The queue. `default` by default.
    static var queue: String { get }
    /// Which of the due jobs of a queue run first. ``JobPriority/normal`` by default.
    static var priority: JobPriority { get }
    /// The maximum number of attempts before the job becomes a dead letter. 20 by default.
    static var maxAttempts: Int { get }
    /// The maximum duration of one attempt. 60 seconds by default.
    static var timeout: Duration { get }
    /// Which jobs of this kind are the same. By default, each is another one.
    static var uniqueness: Uniqueness<Self>? { get }
    /// Between which jobs the workers of the queue are shared fairly. By default all jobs of the queue are equal.
    static var group: JobGroup<Self>? { get }

    /// Decodes stored arguments of this version or of an older one. By default as the coder of this type does.
    /// - Throws: Any error. The job becomes a dead letter, with the reason.
    static func decode(_ arguments: JobArguments) throws -> Self
}

extension Job {
    public static var version: Int { 1 }
    public static var queue: String { "default" }
    public static var priority: JobPriority { .normal }
    public static var maxAttempts: Int { 20 }
    public static var timeout: Duration { .seconds(60) }
    public static var uniqueness: Uniqueness<Self>? { nil }
    public static var group: JobGroup<Self>? { nil }

    public static func decode(_ arguments: JobArguments) throws -> Self { try arguments.decode(Self.self) }
}

/// The stored arguments of a job.
public struct JobArguments: Sendable {
    /// The arguments, as JSON.
    public let json: String
    /// The ``Job/version`` of the program that enqueued the job.
    public let version: Int

    /// Decodes the arguments as a type, for example that of an older version.
    /// - Throws: `DecodingError`.
    public func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try JSON.Decoder.standard.decode(type, from: json.utf8)
    }
}

/// Which of the due jobs of a queue run first. Those of one priority run in the order of their times.
public enum JobPriority: Int, Codable, Sendable, CaseIterable {
    case urgent = 0
    case high = 1
    case normal = 2
    case low = 3
}
