import ApusCore

/// Routes that share an input, such as who is asking, whose value each of their handlers receives first.
///
/// ```swift
/// routes.group("v1/orders", Authenticated(Customer.self), .rateLimit(.perPrincipal, 20, per: .seconds(1))) { routes in
///     routes.get(":id", Path("id", as: Order.ID.self)) { customer, id in try await orders.get(id, for: customer) }
/// }
/// ```
///
/// The input is extracted before the middleware that the group lists after it runs: whoever it refuses reaches neither.
public struct RouteGroup<Value: Sendable> {
    package let routes: Routes
    package let input: GroupInput<Value>

    /// Routes that share a path, and middleware, which runs after what is around it.
    public func group(_ path: String, _ middlewares: any Middleware..., build: (RouteGroup) throws -> Void) rethrows {
        try build(RouteGroup(routes: routes.subgroup(path, middlewares), input: input))
    }

    /// Routes that share middleware.
    public func group(_ middlewares: any Middleware..., build: (RouteGroup) throws -> Void) rethrows {
        try build(RouteGroup(routes: routes.subgroup("", middlewares), input: input))
    }

    /// Routes that share one more input: their handlers receive the value of this group and then its own. It may build on
    /// what this group has extracted: see ``Request/input(_:)``.
    public func group<Input: RequestInput>(
        _ path: String, _ input: Input, _ middlewares: any Middleware...,
        build: (NestedRouteGroup<Value, Input.Value>) throws -> Void
    ) rethrows {
        let (routes, inner) = routes.subgroup(path, input, middlewares)
        try build(NestedRouteGroup(routes: routes, outer: self.input, inner: inner))
    }

    /// Routes that share one more input and no path.
    public func group<Input: RequestInput>(
        _ input: Input, _ middlewares: any Middleware...,
        build: (NestedRouteGroup<Value, Input.Value>) throws -> Void
    ) rethrows {
        let (routes, inner) = routes.subgroup("", input, middlewares)
        try build(NestedRouteGroup(routes: routes, outer: self.input, inner: inner))
    }
}

/// Routes that share two inputs, of a group within a group.
public struct NestedRouteGroup<Outer: Sendable, Inner: Sendable> {
    package let routes: Routes
    package let outer: GroupInput<Outer>
    package let inner: GroupInput<Inner>

    /// Routes that share a path, and middleware.
    public func group(
        _ path: String, _ middlewares: any Middleware..., build: (NestedRouteGroup) throws -> Void
    ) rethrows {
        try build(NestedRouteGroup(routes: routes.subgroup(path, middlewares), outer: outer, inner: inner))
    }

    /// Routes that share middleware.
    public func group(_ middlewares: any Middleware..., build: (NestedRouteGroup) throws -> Void) rethrows {
        try build(NestedRouteGroup(routes: routes.subgroup("", middlewares), outer: outer, inner: inner))
    }
}

/// Where the value of a group's input lies among those of the groups around a route.
package struct GroupInput<Value: Sendable>: Sendable {
    let depth: Int

    /// - Throws: An `AppError` of code `internal` when a middleware of the group has answered for another request.
    package func value(of request: Request) throws -> Value {
        guard let value = request.context.groupValue(at: depth) as? Value else {
            throw AppError(.internal, "The group's \(Value.self) was not extracted from this request.")
        }
        return value
    }
}

/// Extracts the input of a group, in its place among the group's middleware.
struct GroupInputExtraction<Input: RequestInput>: Middleware {
    let input: Input
    let depth: Int

    func handle(_ request: Request, next: Next) async throws -> Response {
        request.context.setGroupValue(try await input.extract(from: request), at: depth)
        return await next(request)
    }

    func describe(_ operation: inout OpenAPI.Operation) { input.describe(&operation) }
}

extension Request {
    /// A value that the input of a group around the route has extracted, for inputs that build on it:
    ///
    /// ```swift
    /// struct OwnOrder: RequestInput {
    ///     func extract(from request: Request) async throws -> Order {
    ///         try await orders.get(Path("id", as: Order.ID.self).extract(from: request), for: request.input(Customer.self))
    ///     }
    /// }
    /// ```
    /// - Returns: That of the innermost group which has one of the type.
    /// - Throws: An `AppError` of code `internal` when no group around the route has one.
    public func input<Value: Sendable>(_ type: Value.Type = Value.self) throws -> Value {
        guard let value = context.groupValue(as: type) else {
            throw AppError(.internal, "No group around the route has an input of type \(type).")
        }
        return value
    }
}
