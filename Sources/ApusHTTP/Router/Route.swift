import HTTPTypes

/// One declared route: returned by every declaration, so that options can follow it.
///
/// ```swift
/// routes.post("avatar", RawBody(), handler: store).bodyLimit(8 << 20)
/// ```
public struct Route: Sendable {
    /// What a route may ask for beyond its inputs.
    struct Options: Sendable {
        var bodyLimit: Int?
    }

    let method: HTTPRequest.Method
    let path: String
    let site: RouteSite
    let handler: Handler
    var options = Options()
}

/// The options of a route that was just declared.
public struct RouteOptions {
    let routes: Routes
    let index: Int

    /// The most bytes that a request's body may have here, instead of the server's default.
    @discardableResult
    public func bodyLimit(_ bytes: Int) -> RouteOptions {
        routes.change(index) { $0.options.bodyLimit = bytes }
        return self
    }
}
