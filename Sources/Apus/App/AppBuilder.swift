public import ApusData
public import ApusHTTP
public import ApusJobs
public import ServiceLifecycle

#if GRPC
    public import GRPCCore
#endif

/// Collects what modules contribute to an app.
public struct AppBuilder {
    /// The settings. Missing and invalid settings are reported after all modules have been configured.
    public let settings: Settings

    /// Global middleware, which wraps every route as well as the response to paths without a route.
    public var middleware = Registry<any Middleware>()
    #if GRPC
        /// gRPC services. Declare services that need their own middleware in a group of routes instead:
        /// `routes.grpc(service)`.
        public var grpc = Registry<any RegistrableRPCService>()
    #endif
    /// Workers of background jobs.
    public var workers = Registry<any Worker>()
    /// Jobs that are enqueued at the times of cron expressions.
    public var schedules = Registry<JobSchedule>()
    /// The queues that have a concurrency or limits of their own.
    ///
    /// ```swift
    /// app.queues["mail"] = QueueConfiguration(limit: JobLimit(rate: JobRate(100, per: .seconds(60))))
    /// ```
    public var queues: [String: QueueConfiguration] = [:]
    /// Additional services that run for the lifetime of the app.
    public var services = Registry<any Service>()
    /// Migrations, applied in the order in which modules add them.
    public var migrations = Migrations()

    private(set) var providers: [ObjectIdentifier: Container.Provider] = [:]
    private(set) var routeBuilders: [(Routes, Container) throws -> Void] = []
    private(set) var problems: [String] = []
    var queueProblems: [String] {
        queues.sorted { $0.key < $1.key }.flatMap { $0.value.problems(of: $0.key) }
    }

    init(settings: Settings) { self.settings = settings }

    /// Registers how a part is built. Parts are resolved by type; for a protocol, pass `(any OrderRepository).self`.
    public mutating func provide<Part: Sendable>(
        _ type: Part.Type, file: String = #fileID, line: Int = #line,
        _ make: @escaping @Sendable (Container) throws -> Part
    ) {
        let id = ObjectIdentifier(type)
        if let other = providers[id] {
            problems.append("\(type) is provided twice: at \(other.location) and at \(file):\(line).")
        }
        providers[id] = Container.Provider(name: "\(type)", location: "\(file):\(line)", make: make)
    }

    /// Registers how a part is built, unless a module has.
    mutating func provideUnlessProvided(
        _ id: ObjectIdentifier, _ name: String, _ make: @escaping @Sendable (Container) throws -> any Sendable
    ) {
        guard providers[id] == nil else { return }
        providers[id] = Container.Provider(name: name, location: "the app itself", make: make)
    }

    mutating func override(_ id: ObjectIdentifier, with provider: Container.Provider) { providers[id] = provider }

    /// Declares routes whose handlers need only their inputs.
    public mutating func routes(_ build: @escaping (Routes) throws -> Void) {
        routeBuilders.append { routes, _ in try build(routes) }
    }

    /// Declares routes whose handlers need parts from the container.
    public mutating func routes(_ build: @escaping (Routes, Container) throws -> Void) {
        routeBuilders.append(build)
    }

    /// A list of elements that are built from the container.
    public struct Registry<Element> {
        private(set) var factories: [@Sendable (Container) throws -> Element] = []

        /// Adds an element that needs no parts.
        public mutating func add(_ element: Element) where Element: Sendable { factories.append { _ in element } }

        /// Adds an element that is built from the container.
        public mutating func add(_ make: @escaping @Sendable (Container) throws -> Element) { factories.append(make) }

        var isEmpty: Bool { factories.isEmpty }

        func build(_ container: Container) throws -> [Element] { try factories.map { try $0(container) } }
    }

    /// A list of migrations.
    public struct Migrations {
        private(set) var all: [any Migration.Type] = []

        /// Adds migrations, in order.
        public mutating func add(_ migrations: any Migration.Type...) { all += migrations }
    }
}
