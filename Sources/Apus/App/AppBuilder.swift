public import ApusData
public import ApusHTTP
public import ApusJobs
public import GRPCCore
public import ServiceLifecycle

/// Where modules say what an app is made of.
public struct AppBuilder {
    /// The app's name.
    public let name: String
    /// The settings. What is missing or wrong is reported once all modules have been configured.
    public let settings: Settings

    /// Global middleware: around every route, and around the answer to paths that have none.
    public var middleware = Registry<any Middleware>()
    /// Services of gRPC. Those that need middleware of their own are declared in a group of routes:
    /// `routes.grpc(service)`.
    public var grpc = Registry<any RegistrableRPCService>()
    /// Workers of background jobs.
    public var workers = Registry<any Worker>()
    /// What else runs as long as the app does.
    public var services = Registry<any Service>()
    /// The steps of the schema, applied in the order in which modules add them.
    public var migrations = Migrations()

    private(set) var providers: [ObjectIdentifier: Resolver.Provider] = [:]
    private(set) var routeBuilders: [(Routes, Container) throws -> Void] = []
    private(set) var problems: [String] = []

    init(name: String, settings: Settings) {
        self.name = name
        self.settings = settings
    }

    /// Says how a part is built. Asked for by its type; a protocol is written `(any OrderRepository).self`.
    public mutating func provide<Part: Sendable>(
        _ type: Part.Type, file: String = #fileID, line: Int = #line,
        _ make: @escaping @Sendable (Resolver) throws -> Part
    ) {
        let id = ObjectIdentifier(type)
        if let other = providers[id] {
            problems.append("\(type) is provided twice: at \(other.site) and at \(file):\(line).")
        }
        providers[id] = Resolver.Provider(name: "\(type)", site: "\(file):\(line)", make: make)
    }

    mutating func override(_ id: ObjectIdentifier, with provider: Resolver.Provider) { providers[id] = provider }

    /// Declares routes whose handlers need nothing but their inputs.
    public mutating func routes(_ build: @escaping (Routes) throws -> Void) {
        routeBuilders.append { routes, _ in try build(routes) }
    }

    /// Declares routes, with the container to take from what their handlers need.
    public mutating func routes(_ build: @escaping (Routes, Container) throws -> Void) {
        routeBuilders.append(build)
    }

    /// A list of things that are built from the container.
    public struct Registry<Element> {
        private(set) var factories: [@Sendable (Container) throws -> Element] = []

        /// Adds one that needs nothing.
        public mutating func add(_ element: Element) where Element: Sendable { factories.append { _ in element } }

        /// Adds one.
        public mutating func add(_ make: @escaping @Sendable (Container) throws -> Element) { factories.append(make) }

        var isEmpty: Bool { factories.isEmpty }

        func build(_ container: Container) throws -> [Element] { try factories.map { try $0(container) } }
    }

    /// A list of migrations.
    public struct Migrations {
        private(set) var all: [any Migration.Type] = []

        /// Adds some, in order.
        public mutating func add(_ migrations: any Migration.Type...) { all += migrations }
    }
}
