public import HTTPTypes

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

    /// An empty set of routes.
    public convenience init() { self.init(Collection(), prefix: "", middlewares: []) }

    private init(_ collection: Collection, prefix: String, middlewares: [any Middleware]) {
        self.collection = collection
        self.prefix = prefix
        self.middlewares = middlewares
    }

    var all: [Route] { collection.routes }

    /// Keeps a value with the routes of all groups, for who declares more of them later.
    package func attach(_ value: any Sendable) { collection.attachments.append(value) }

    /// The values of a type that were kept, in their order.
    package func attached<Value>(_ type: Value.Type) -> [Value] { collection.attachments.compactMap { $0 as? Value } }

    func change(_ index: Int, _ change: (inout Route) -> Void) { change(&collection.routes[index]) }

    /// Routes that share a path prefix and middleware. The middleware of outer groups comes first.
    public func group(_ path: String, _ middlewares: any Middleware..., build: (Routes) throws -> Void) rethrows {
        try build(subgroup(path, middlewares))
    }

    /// Routes that share middleware.
    public func group(_ middlewares: any Middleware..., build: (Routes) throws -> Void) rethrows {
        try build(subgroup("", middlewares))
    }

    /// Routes that share an input, such as who is asking: it comes first in each of their handlers.
    public func group<Leading: RequestInput>(
        _ path: String, _ leading: Leading, _ middlewares: any Middleware...,
        build: (RoutesWithInput<Leading>) throws -> Void
    ) rethrows {
        try build(RoutesWithInput(subgroup(path, middlewares), leading))
    }

    /// Routes that share an input and no path.
    public func group<Leading: RequestInput>(
        _ leading: Leading, _ middlewares: any Middleware..., build: (RoutesWithInput<Leading>) throws -> Void
    ) rethrows {
        try build(RoutesWithInput(subgroup("", middlewares), leading))
    }

    private func subgroup(_ path: String, _ added: [any Middleware]) -> Routes {
        Routes(collection, prefix: joined(path), middlewares: middlewares + added)
    }

    /// A path of this group from the root on.
    func fullPath(_ path: String) -> String { joined(path) }

    private func joined(_ path: String) -> String { path.isEmpty ? prefix : "\(prefix)/\(path)" }

    /// A route whose handler reads the request itself.
    @discardableResult
    public func on(
        _ method: HTTPRequest.Method, _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping Handler
    ) -> RouteOptions {
        add(method, path, file: file, line: line, handler: handler).describe { Response.describe(&$0) }
    }

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
