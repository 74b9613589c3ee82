public import HTTPTypes

/// One declared route.
struct Route: Sendable {
    let method: HTTPRequest.Method
    let path: String
    let site: RouteSite
    /// Why it cannot be served, if that is known before the others are.
    var problem: RouteProblem?
    var handler: Next
    /// The most bytes that a body may have here; `nil` for the server's default.
    var bodyLimit: Int?
    /// Which pages of other origins may call it, as its groups say: they answer preflights, which no handler sees.
    var crossOrigin: [CORS] = []
    /// What it asks for and answers, as its inputs, its output and its middleware say.
    var operation: OpenAPI.Operation
    /// Where one route answers what are several in the description, such as one for each verb behind a colon: those, with
    /// their paths as OpenAPI has them.
    var parts: [(path: String, operation: OpenAPI.Operation)] = []
}

/// The options of a route that was just declared: returned by every declaration.
///
/// ```swift
/// routes.post("avatar", RawBody(), handler: store).bodyLimit(8 << 20).summary("Stores a picture.")
/// ```
public struct RouteOptions {
    let routes: Routes
    let index: Int

    /// The most bytes that a request's body may have here, instead of the server's default.
    @discardableResult
    public func bodyLimit(_ bytes: Int) -> RouteOptions {
        routes.change(index) { $0.bodyLimit = bytes }
        return self
    }

    /// Less time for a request than the server would give.
    @discardableResult
    public func timeout(_ limit: Duration) -> RouteOptions {
        routes.change(index) { $0.handler = Timeout(limit).wrapping($0.handler) }
        return self
    }

    /// Changes what the API's description says of the route.
    @discardableResult
    public func describe(_ change: (inout OpenAPI.Operation) -> Void) -> RouteOptions {
        routes.change(index) { change(&$0.operation) }
        return self
    }

    /// Describes what is a route of its own to clients, under its path as OpenAPI has it: `/v1/orders/{id}:cancel`. Such
    /// stand in the place of the route itself.
    @discardableResult
    package func part(_ path: String, _ describe: (inout OpenAPI.Operation) -> Void) -> RouteOptions {
        routes.change(index) {
            var operation = $0.operation
            describe(&operation)
            $0.parts.append((path, operation))
        }
        return self
    }

    /// What it does, in a line, and more of it in CommonMark.
    @discardableResult
    public func summary(_ summary: String, _ description: String? = nil) -> RouteOptions {
        describe {
            $0.summary = summary
            $0.description = description
        }
    }

    /// What it is listed under, instead of the first word of its path.
    @discardableResult
    public func tags(_ tags: String...) -> RouteOptions { describe { $0.tags = tags } }

    /// It will go away.
    @discardableResult
    public func deprecated() -> RouteOptions { describe { $0.isDeprecated = true } }

    /// It is left out of the API's description.
    @discardableResult
    public func hidden() -> RouteOptions { describe { $0.isHidden = true } }

    /// It may answer with this error.
    @discardableResult
    public func mayFail(_ status: HTTPResponse.Status, _ description: String) -> RouteOptions {
        describe { $0.mayFail(status, description) }
    }
}
