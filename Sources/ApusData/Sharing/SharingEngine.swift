public import Logging

/// Opens what the processes of a service share, such as a cache, by the URL in a setting. ApusRedis provides one.
public protocol SharingEngine: Sendable {
    /// The key of the setting that contains the URL, such as `redis.url`. Without a value, nothing is opened.
    var setting: String { get }

    /// Opens what a URL names. Connections are opened when they are needed: a server that is away is no error.
    /// - Throws: An `AppError` that says what is wrong with the URL, without the secrets in it.
    func open(_ url: String, _ settings: SharingSettings) throws -> any SharedState
}

/// What an engine needs to know of an app.
public struct SharingSettings: Sendable {
    /// The name of the app, which precedes the names of keys and channels, so that several apps can use one server.
    public var name: String
    /// The logger of the app.
    public var logger: Logger

    /// Creates settings.
    public init(name: String, logger: Logger) {
        self.name = name
        self.logger = logger
    }
}

/// What the processes of a service share. The parts must also work, with less, while their server is away.
public protocol SharedState: Sendable {
    /// The name in health reports and logs, such as `redis`.
    var name: String { get }
    /// The parts for the container of the app, such as `any Cache`, `any PubSub` and `any RateLimiter`.
    var parts: [SharedPart] { get }

    /// Checks that the server answers.
    /// - Throws: An error if it does not.
    func checkHealth() async throws

    /// Closes all connections.
    func close() async
}

/// A part for the container of an app, and the type by which it is resolved.
public struct SharedPart: Sendable {
    package let id: ObjectIdentifier
    package let name: String
    package let part: any Sendable

    /// Creates a part.
    /// - Parameter type: The type by which it is resolved, such as `(any Cache).self`.
    public init<Part: Sendable>(_ part: Part, as type: Part.Type) {
        id = ObjectIdentifier(type)
        name = "\(type)"
        self.part = part
    }
}
