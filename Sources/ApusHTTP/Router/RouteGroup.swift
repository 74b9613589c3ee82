import ApusCore

/// A group of routes that share an input, such as the authenticated caller. Each handler receives its value first.
///
/// ```swift
/// routes.group("v1/orders", Authenticated(Customer.self), .rateLimit(.perPrincipal, 20, per: .seconds(1))) { routes in
///     routes.get(":id", Path("id", as: Order.ID.self)) { customer, id in try await orders.get(id, for: customer) }
/// }
/// ```
///
/// The input is extracted before the group's middleware, which is listed after it, runs: a request that the input
/// rejects reaches neither the middleware nor a handler.
public struct RouteGroup<Value: Sendable> {
    package let routes: Routes
    package let input: GroupInput<Value>

    /// Declares routes that share a path and middleware, which runs after that of the enclosing groups.
    public func group(_ path: String, _ middlewares: any Middleware..., build: (RouteGroup) throws -> Void) rethrows {
        try build(RouteGroup(routes: routes.subgroup(path, middlewares), input: input))
    }

    /// Declares routes that share middleware.
    public func group(_ middlewares: any Middleware..., build: (RouteGroup) throws -> Void) rethrows {
        try build(RouteGroup(routes: routes.subgroup("", middlewares), input: input))
    }

    /// Declares routes that share another input. Their handlers receive the value of this group and then that of the
    /// input. The input may use the value of this group: see ``Request/input(_:)``.
    public func group<Input: RequestInput>(
        _ path: String, _ input: Input, _ middlewares: any Middleware...,
        build: (NestedRouteGroup<Value, Input.Value>) throws -> Void
    ) rethrows {
        let (routes, inner) = routes.subgroup(path, input, middlewares)
        try build(NestedRouteGroup(routes: routes, outer: self.input, inner: inner))
    }

    /// Declares routes that share another input, but no path.
    public func group<Input: RequestInput>(
        _ input: Input, _ middlewares: any Middleware...,
        build: (NestedRouteGroup<Value, Input.Value>) throws -> Void
    ) rethrows {
        let (routes, inner) = routes.subgroup("", input, middlewares)
        try build(NestedRouteGroup(routes: routes, outer: self.input, inner: inner))
    }
}

/// A group of routes that share two inputs: those of a group and of a group nested in it.
public struct NestedRouteGroup<Outer: Sendable, Inner: Sendable> {
    package let routes: Routes
    package let outer: GroupInput<Outer>
    package let inner: GroupInput<Inner>

    /// Declares routes that share a path and middleware.
    public func group(
        _ path: String, _ middlewares: any Middleware..., build: (NestedRouteGroup) throws -> Void
    ) rethrows {
        try build(NestedRouteGroup(routes: routes.subgroup(path, middlewares), outer: outer, inner: inner))
    }

    /// Declares routes that share middleware.
    public func group(_ middlewares: any Middleware..., build: (NestedRouteGroup) throws -> Void) rethrows {
        try build(NestedRouteGroup(routes: routes.subgroup("", middlewares), outer: outer, inner: inner))
    }
}

/// The position of the value of a group's input among those of the groups around a route.
package struct GroupInput<Value: Sendable>: Sendable {
    let depth: Int

    /// Returns the value that was extracted from a request.
    /// - Throws: An `AppError` of code `internal` if a middleware of the group has passed on another request.
    package func value(of request: Request) throws -> Value {
        guard let value = request.context.groupValue(at: depth) as? Value else {
            throw AppError(.internal, "The group's \(Value.self) was not extracted from this request.")
        }
        return value
    }
}

/// Extracts the input of a group, at the input's position among the group's middleware.
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
    /// Returns a value that the input of a group around the route has extracted, for inputs that use it:
    ///
    /// ```swift
    /// struct OwnOrder: RequestInput {
    ///     func extract(from request: Request) async throws -> Order {
    ///         let id = try Path("id", as: Order.ID.self).extract(from: request)
    ///         return try await orders.get(id, for: request.input(Customer.self))
    ///     }
    /// }
    /// ```
    /// - Returns: The value of the innermost group that has one of the type.
    /// - Throws: An `AppError` of code `internal` if no group around the route has one.
    public func input<Value: Sendable>(_ type: Value.Type = Value.self) throws -> Value {
        guard let value = context.groupValue(as: type) else {
            throw AppError(.internal, "No group around the route has an input of type \(type).")
        }
        return value
    }
}
