import ApusCore

/// Opens databases by URL. Each database engine provides an implementation.
public protocol DatabaseEngine: Sendable {
    /// The URL schemes that this engine opens, such as `sqlite`, or `postgres` and `postgresql`.
    var schemes: [String] { get }

    /// Opens a database.
    /// - Parameter url: The URL of the database, such as `sqlite:data/app.sqlite` or `postgres://user@host/app`.
    /// - Throws: An `AppError` that describes what is wrong with the URL or why the database cannot be opened.
    func open(_ url: String) throws -> any Database

    /// Opens a database with the settings of the app. By default they are ignored.
    func open(_ url: String, _ settings: DatabaseSettings) throws -> any Database

    /// Replaces the database of a URL by a backup that ``Database/backUp(to:)`` has made. By default there is no such way.
    /// - Throws: An `AppError` of code `unimplemented` if the engine has tools of its own for that, of code `unavailable`
    ///   if a process has the database open, of code `dataLoss` if the backup is damaged.
    func restore(_ url: String, from path: String) async throws
}

extension DatabaseEngine {
    public func open(_ url: String, _ settings: DatabaseSettings) throws -> any Database { try open(url) }

    public func restore(_ url: String, from path: String) async throws {
        throw AppError(.unimplemented, "This database is restored by the tools of its engine.")
    }
}

/// Settings of an app that concern its database, whatever engine it has.
public struct DatabaseSettings: Sendable {
    /// How long a statement may run before it is logged as a warning. 500 milliseconds.
    public var slowQuery = Duration.milliseconds(500)

    public init() {}
}
