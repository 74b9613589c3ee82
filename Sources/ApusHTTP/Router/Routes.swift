package import HTTPTypes

/// Where routes are declared, before a ``Router`` serves them.
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
    /// How many inputs the groups have.
    private let inputs: Int

    /// An empty set of routes.
    public convenience init() { self.init(Collection(), prefix: "", middlewares: [], inputs: 0) }

    private init(_ collection: Collection, prefix: String, middlewares: [any Middleware], inputs: Int) {
        self.collection = collection
        self.prefix = prefix
        self.middlewares = middlewares
        self.inputs = inputs
    }

    var all: [Route] { collection.routes }

    /// Keeps a value with the routes of all groups, for who declares more of them later.
    package func attach(_ value: any Sendable) { collection.attachments.append(value) }

    /// The values of a type that were kept, in their order.
    package func attached<Value>(_ type: Value.Type) -> [Value] { collection.attachments.compactMap { $0 as? Value } }

    func change(_ index: Int, _ change: (inout Route) -> Void) { change(&collection.routes[index]) }

    /// Routes that share a path prefix and middleware, which runs in the order in which it is written, that of outer groups
    /// first.
    public func group(_ path: String, _ middlewares: any Middleware..., build: (Routes) throws -> Void) rethrows {
        try build(subgroup(path, middlewares))
    }

    /// Routes that share middleware.
    public func group(_ middlewares: any Middleware..., build: (Routes) throws -> Void) rethrows {
        try build(subgroup("", middlewares))
    }

    /// Routes that share an input, such as who is asking: each of their handlers receives its value first. It is extracted
    /// before the group's middleware runs, as it is written.
    public func group<Input: RequestInput>(
        _ path: String, _ input: Input, _ middlewares: any Middleware...,
        build: (RouteGroup<Input.Value>) throws -> Void
    ) rethrows {
        let (routes, input) = subgroup(path, input, middlewares)
        try build(RouteGroup(routes: routes, input: input))
    }

    /// Routes that share an input and no path.
    public func group<Input: RequestInput>(
        _ input: Input, _ middlewares: any Middleware..., build: (RouteGroup<Input.Value>) throws -> Void
    ) rethrows {
        let (routes, input) = subgroup("", input, middlewares)
        try build(RouteGroup(routes: routes, input: input))
    }

    func subgroup(_ path: String, _ added: [any Middleware]) -> Routes {
        Routes(collection, prefix: joined(path), middlewares: middlewares + added, inputs: inputs)
    }

    func subgroup<Input: RequestInput>(
        _ path: String, _ input: Input, _ added: [any Middleware]
    ) -> (Routes, GroupInput<Input.Value>) {
        let extraction = GroupInputExtraction(input: input, depth: inputs)
        let routes = Routes(
            collection, prefix: joined(path), middlewares: middlewares + [extraction] + added, inputs: inputs + 1)
        return (routes, GroupInput(depth: inputs))
    }

    /// A path of this group from the root on.
    func fullPath(_ path: String) -> String { joined(path) }

    private func joined(_ path: String) -> String { path.isEmpty ? prefix : "\(prefix)/\(path)" }

    /// - Parameter isAbsolute: Whether the path is that from the root on, whatever the group's is.
    package func add(
        _ method: HTTPRequest.Method, _ path: String, isAbsolute: Bool = false, file: String, line: Int,
        handler: @escaping Handler
    ) -> RouteOptions {
        var route = Route(
            method: method, path: isAbsolute ? path : joined(path), site: RouteSite(file: file, line: line),
            handler: chain(middlewares, handler), operation: OpenAPI.Operation(method))
        route.crossOrigin = middlewares.compactMap { $0 as? CORS }
        for middleware in middlewares { middleware.describe(&route.operation) }
        collection.routes.append(route)
        return RouteOptions(routes: self, index: collection.routes.count - 1)
    }
}
