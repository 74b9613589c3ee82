public import ApusData

/// A service: its name, its modules, and the engines of its database.
///
/// ```swift
/// @main
/// struct DeliveryTracker {
///     static func main() async {
///         await App("delivery-tracker", engines: SQLiteEngine()) {
///             OrdersModule()
///             TrackingModule()
///         }.run()
///     }
/// }
/// ```
///
/// The first argument of the command line says what the process is to do: see ``Role``. Without one it does everything.
public struct App: Sendable {
    let name: String
    let version: String
    let engines: [any DatabaseEngine]
    let modules: [any Module]
    private(set) var overrides: [(id: ObjectIdentifier, provider: Resolver.Provider)] = []

    /// - Parameters:
    ///   - name: Lower case with hyphens. It names the log, and the file of the embedded database.
    ///   - version: Of its API, as the description of it says.
    ///   - engines: What can open the URL in the setting `database.url`. An app without one has no database.
    public init(
        _ name: String, version: String = "1.0.0", engines: any DatabaseEngine...,
        @ModuleBuilder modules: () -> [any Module]
    ) {
        self.name = name
        self.version = version
        self.engines = engines
        self.modules = modules()
    }

    /// The same app with one of its parts replaced: for tests.
    public func override<Part: Sendable>(
        _ type: Part.Type, file: String = #fileID, line: Int = #line,
        _ make: @escaping @Sendable (Resolver) throws -> Part
    ) -> App {
        var copy = self
        let provider = Resolver.Provider(name: "\(type)", site: "\(file):\(line)", make: make)
        copy.overrides.append((ObjectIdentifier(type), provider))
        return copy
    }
}
