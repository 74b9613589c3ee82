public import ApusData

/// A service, defined by its name, its modules and its database engines.
///
/// ```swift
/// @main
/// struct DeliveryTracker {
///     static func main() async {
///         await App("delivery-tracker", engines: SQLiteEngine(), PostgresEngine()) {
///             OrdersModule()
///             TrackingModule()
///         }.run()
///     }
/// }
/// ```
///
/// The first command-line argument selects the role of the process, see ``Role``. Without one, it runs all roles.
public struct App: Sendable {
    let name: String
    let version: String
    package private(set) var engines: [any DatabaseEngine]
    /// Opens what the processes of the app share.
    let sharing: (any SharingEngine)?
    /// Whether the app can open a database.
    package var hasDatabase: Bool { !engines.isEmpty }
    let modules: [any Module]
    private(set) var overrides: [(id: ObjectIdentifier, provider: Container.Provider)] = []

    /// Creates an app.
    /// - Parameters:
    ///   - name: The name of the service, in lower case with hyphens. It is also the label of the logger and the
    ///     default file name of the embedded database.
    ///   - version: The version of the API, as shown in its OpenAPI document.
    ///   - engines: The engines that can open the URL in the setting `database.url`, such as `SQLiteEngine()` and
    ///     `PostgresEngine()`. Without one, the app has no database. Without one for SQLite, the URL is required.
    ///   - sharing: Opens what several processes of the app share, such as `RedisSharing()`, if its setting has a URL.
    ///     Without it, or without the URL, caches and rate limits are those of each process, and so are messages, unless the
    ///     database can send them, as Postgres can.
    ///   - modules: The modules of the app.
    public init(
        _ name: String, version: String = "1.0.0", engines: any DatabaseEngine...,
        sharing: (any SharingEngine)? = nil, @ModuleBuilder modules: () -> [any Module]
    ) {
        self.name = name
        self.version = version
        self.engines = engines
        self.sharing = sharing
        self.modules = modules()
    }

    /// Returns a copy of the app with one of its parts replaced, for tests.
    public func override<Part: Sendable>(
        _ type: Part.Type, file: String = #fileID, line: Int = #line,
        _ make: @escaping @Sendable (Container) throws -> Part
    ) -> App {
        var copy = self
        let provider = Container.Provider(name: "\(type)", location: "\(file):\(line)", make: make)
        copy.overrides.append((ObjectIdentifier(type), provider))
        return copy
    }

    /// Returns a copy of the app with other engines, for tests.
    package func withEngines(_ engines: [any DatabaseEngine]) -> App {
        var copy = self
        copy.engines = engines
        return copy
    }
}
