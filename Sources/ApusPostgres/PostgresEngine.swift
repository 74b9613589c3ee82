import ApusCore
public import ApusData

/// Opens `postgres:` and `postgresql:` URLs, such as `postgres://user:password@localhost/app?sslmode=verify-full`. See
/// ``PostgresConfiguration/init(url:)`` for the parameters.
public struct PostgresEngine: DatabaseEngine {
    private let configure: @Sendable (inout PostgresConfiguration) -> Void

    /// Creates an engine.
    /// - Parameter configure: Changes what a URL says, or does not say.
    public init(configure: @escaping @Sendable (inout PostgresConfiguration) -> Void = { _ in }) {
        self.configure = configure
    }

    public var schemes: [String] { ["postgres", "postgresql"] }

    public func open(_ url: String) throws -> any Database { try open(url, DatabaseSettings()) }

    public func open(_ url: String, _ settings: DatabaseSettings) throws -> any Database {
        var configuration = try PostgresConfiguration(url: url)
        configuration.slowQuery = settings.slowQuery
        configure(&configuration)
        return try PostgresDatabase(configuration)
    }
}
