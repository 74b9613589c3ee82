public import HTTPTypes

/// A declared route.
struct Route: Sendable {
    let method: HTTPRequest.Method
    let path: String
    let site: SourceLocation
    /// The reason why the route cannot be served, if it is known without the other routes.
    var problem: RouteError?
    /// The handler behind the middleware of its groups.
    var handler: Handler
    /// The maximum size of a body, in bytes; `nil` for the server's default.
    var bodyLimit: Int?
    /// The CORS middleware of the route's groups. It answers preflights, which do not reach a handler.
    var crossOrigin: [CORS] = []
    /// The description of the route, from its inputs, its output and its middleware.
    var operation: OpenAPI.Operation
    /// The operations of a route that the API description lists as several, such as one for each verb after a colon,
    /// with their paths in OpenAPI syntax.
    var parts: [(path: String, operation: OpenAPI.Operation)] = []
}

/// The options of a route, which every declaration returns.
///
/// ```swift
/// routes.post("avatar", RawBody(), handler: store).bodyLimit(8 << 20).summary("Stores a picture.")
/// ```
public struct RouteOptions {
    let routes: Routes
    let index: Int

    /// Sets the maximum size of a request body, in bytes, instead of the server's default.
    @discardableResult
    public func bodyLimit(_ bytes: Int) -> RouteOptions {
        routes.change(index) { $0.bodyLimit = bytes }
        return self
    }

    /// Limits the time for a request. The limit can only shorten the server's.
    @discardableResult
    public func timeout(_ limit: Duration) -> RouteOptions {
        routes.change(index) { $0.handler = chain([Timeout(limit)], $0.handler) }
        return self
    }

    /// Changes the description of the route in the API description.
    @discardableResult
    public func describe(_ change: (inout OpenAPI.Operation) -> Void) -> RouteOptions {
        routes.change(index) { change(&$0.operation) }
        return self
    }

    /// Describes an operation that clients see as a separate route, with its path in OpenAPI syntax:
    /// `/v1/orders/{id}:cancel`. Such operations replace the route itself in the API description.
    @discardableResult
    package func part(_ path: String, _ describe: (inout OpenAPI.Operation) -> Void) -> RouteOptions {
        routes.change(index) {
            var operation = $0.operation
            describe(&operation)
            $0.parts.append((path, operation))
        }
        return self
    }

    /// Sets a one-line summary and, optionally, a description in CommonMark.
    @discardableResult
    public func summary(_ summary: String, _ description: String? = nil) -> RouteOptions {
        describe {
            $0.summary = summary
            $0.description = description
        }
    }

    /// Sets the tags under which the route is listed, instead of the first word of its path.
    @discardableResult
    public func tags(_ tags: String...) -> RouteOptions { describe { $0.tags = tags } }

    /// Marks the route as deprecated.
    @discardableResult
    public func deprecated() -> RouteOptions { describe { $0.isDeprecated = true } }

    /// Excludes the route from the API description.
    @discardableResult
    public func hidden() -> RouteOptions { describe { $0.isHidden = true } }

    /// Adds an error response to the description of the route.
    @discardableResult
    public func errorResponse(_ status: HTTPResponse.Status, _ description: String) -> RouteOptions {
        describe { $0.addErrorResponse(status, description) }
    }
}
