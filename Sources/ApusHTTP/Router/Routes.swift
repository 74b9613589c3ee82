package import HTTPTypes

/// A collection of declared routes, which a ``Router`` serves.
///
/// ```swift
/// routes.get("health") { "ok" }
/// routes.group("v1/orders", .timeout(.seconds(5))) { routes in
///     routes.get(":id", Path("id", as: Order.ID.self)) { id in try await orders.get(id) }
/// }
/// ```
public final class Routes {
    private final class Collection {
        var routes: [Route] = []
        var attachments: [any Sendable] = []
    }

    private let collection: Collection
    let prefix: String
    private let middlewares: [any Middleware]
    /// The number of inputs of this group and the enclosing groups.
    private let inputCount: Int

    /// Creates an empty collection of routes.
    public convenience init() { self.init(Collection(), prefix: "", middlewares: [], inputCount: 0) }

    private init(_ collection: Collection, prefix: String, middlewares: [any Middleware], inputCount: Int) {
        self.collection = collection
        self.prefix = prefix
        self.middlewares = middlewares
        self.inputCount = inputCount
    }

    var all: [Route] { collection.routes }

    /// Stores a value with the routes of all groups, for code that declares more of them later.
    package func attach(_ value: any Sendable) { collection.attachments.append(value) }

    /// Returns the attached values of a type, in order.
    package func attached<Value>(_ type: Value.Type) -> [Value] { collection.attachments.compactMap { $0 as? Value } }

    func change(_ index: Int, _ change: (inout Route) -> Void) { change(&collection.routes[index]) }

    /// Declares routes that share a path prefix and middleware, which runs in the order written, after that of the
    /// enclosing groups.
    public func group(_ path: String, _ middlewares: any Middleware..., build: (Routes) throws -> Void) rethrows {
        try build(subgroup(path, middlewares))
    }

    /// Declares routes that share middleware.
    public func group(_ middlewares: any Middleware..., build: (Routes) throws -> Void) rethrows {
        try build(subgroup("", middlewares))
    }

    /// Declares routes that share an input, such as the authenticated caller. Each handler receives its value first.
    /// The input is extracted before the group's middleware runs, in the order written.
    public func group<Input: RequestInput>(
        _ path: String, _ input: Input, _ middlewares: any Middleware...,
        build: (RouteGroup<Input.Value>) throws -> Void
    ) rethrows {
        let (routes, input) = subgroup(path, input, middlewares)
        try build(RouteGroup(routes: routes, input: input))
    }

    /// Declares routes that share an input, but no path.
    public func group<Input: RequestInput>(
        _ input: Input, _ middlewares: any Middleware..., build: (RouteGroup<Input.Value>) throws -> Void
    ) rethrows {
        let (routes, input) = subgroup("", input, middlewares)
        try build(RouteGroup(routes: routes, input: input))
    }

    func subgroup(_ path: String, _ added: [any Middleware]) -> Routes {
        Routes(
            collection, prefix: joined(path), middlewares: middlewares + configured(added), inputCount: inputCount)
    }

    func subgroup<Input: RequestInput>(
        _ path: String, _ input: Input, _ added: [any Middleware]
    ) -> (Routes, GroupInput<Input.Value>) {
        let extraction = GroupInputExtraction(input: input, depth: inputCount)
        let routes = Routes(
            collection, prefix: joined(path), middlewares: middlewares + [extraction] + configured(added),
            inputCount: inputCount + 1)
        return (routes, GroupInput(depth: inputCount))
    }

    /// Returns the absolute path of a path in this group.
    func fullPath(_ path: String) -> String { joined(path) }

    private func joined(_ path: String) -> String { path.isEmpty ? prefix : "\(prefix)/\(path)" }

    /// Adds a route.
    /// - Parameters:
    ///   - isAbsolute: Whether the path is absolute instead of relative to the group.
    ///   - operation: The description of the route without its middleware.
    package func add(
        _ method: HTTPRequest.Method, _ path: String, isAbsolute: Bool = false, operation: OpenAPI.Operation? = nil,
        file: String, line: Int, handler: @escaping Handler
    ) -> RouteOptions {
        var route = Route(
            method: method, path: isAbsolute ? path : joined(path), site: SourceLocation(file: file, line: line),
            handler: middlewares.isEmpty ? handler : chain(middlewares, handler),
            operation: operation ?? OpenAPI.Operation(method))
        route.crossOrigin = middlewares.compactMap { $0 as? CORS }
        for middleware in middlewares { middleware.describe(&route.operation) }
        collection.routes.append(route)
        return RouteOptions(routes: self, index: collection.routes.count - 1)
    }

    /// Adds what the global middleware does to the descriptions of all routes.
    package func describe(globalMiddleware: [any Middleware]) {
        for index in collection.routes.indices {
            for middleware in globalMiddleware { middleware.describe(&collection.routes[index].operation) }
            for part in collection.routes[index].parts.indices {
                for middleware in globalMiddleware {
                    middleware.describe(&collection.routes[index].parts[part].operation)
                }
            }
        }
    }
}
