public import HTTPTypes

/// A type on which routes are declared: ``Routes``, or a group with its own inputs.
///
/// A route is declared by calling its method with its path, its inputs and its handler, which receives the decoded
/// inputs in order:
///
/// ```swift
/// routes.get("health") { "ok" }
/// routes.post("orders", Authenticated(Customer.self), Body(PlaceOrder.self)) { customer, order in … }
/// routes.on(.options)("orders") { NoContent() }
/// ```
public protocol RouteBuilder {
    /// The type that declares the routes of one method.
    associatedtype Declaration

    /// Returns the declaration for routes of a method.
    func on(_ method: HTTPRequest.Method) -> Declaration
}

extension RouteBuilder {
    /// Declares a route that reads a resource. It also answers `HEAD`.
    public var get: Declaration { on(.get) }
    /// Declares a route that creates a resource or performs an action.
    public var post: Declaration { on(.post) }
    /// Declares a route that replaces a resource.
    public var put: Declaration { on(.put) }
    /// Declares a route that changes part of a resource.
    public var patch: Declaration { on(.patch) }
    /// Declares a route that deletes a resource.
    public var delete: Declaration { on(.delete) }
}

// Routes with up to two inputs have separate declarations: handlers with a parameter pack must be `@concurrent`,
// because Swift 6.3 calls a `nonisolated(nonsending)` one with its captures in the wrong registers. This costs every
// request two executor checks (0.4 µs) and a task allocation. Without `@_disfavoredOverload`, the compiler would prefer
// the declaration with a pack for every handler. Both kinds run on the request's event loop, because of the task's executor
// preference.

extension Routes: RouteBuilder {
    public func on(_ method: HTTPRequest.Method) -> Declaration { Declaration(routes: self, method: method) }

    /// Declares routes of one method.
    public struct Declaration {
        let routes: Routes
        let method: HTTPRequest.Method

        /// Declares a route whose handler receives the request itself.
        @discardableResult
        public func callAsFunction(
            _ path: String, file: String = #fileID, line: Int = #line, handler: @escaping Handler
        ) -> RouteOptions {
            routes.add(
                method, path, operation: .init(method, answers: Response.self), file: file, line: line,
                handler: handler)
        }

        /// Declares a route without inputs.
        @discardableResult
        public func callAsFunction<Output: ResponseConvertible>(
            _ path: String, file: String = #fileID, line: Int = #line,
            handler: @escaping @Sendable () async throws -> Output
        ) -> RouteOptions {
            routes.add(
                method, path, operation: .init(method, answers: Output.self), file: file, line: line
            ) { request in
                try await handler().response(to: request)
            }
        }

        /// Declares a route with one input.
        @discardableResult
        public func callAsFunction<Input: RequestInput, Output: ResponseConvertible>(
            _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
            handler: @escaping @Sendable (Input.Value) async throws -> Output
        ) -> RouteOptions {
            routes.add(
                method, path, operation: .init(method, input, answers: Output.self), file: file, line: line
            ) { request in
                try await handler(try await input.extract(from: request)).response(to: request)
            }
        }

        /// Declares a route with two inputs.
        @discardableResult
        public func callAsFunction<First: RequestInput, Second: RequestInput, Output: ResponseConvertible>(
            _ path: String, _ first: First, _ second: Second, file: String = #fileID, line: Int = #line,
            handler: @escaping @Sendable (First.Value, Second.Value) async throws -> Output
        ) -> RouteOptions {
            routes.add(
                method, path, operation: .init(method, first, second, answers: Output.self), file: file, line: line
            ) { request in
                let value = try await first.extract(from: request)
                return try await handler(value, try await second.extract(from: request)).response(to: request)
            }
        }

        /// Declares a route with any number of inputs.
        @discardableResult
        @_disfavoredOverload
        public func callAsFunction<each Input: RequestInput, Output: ResponseConvertible>(
            _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
            handler: @escaping @Sendable @concurrent (repeat (each Input).Value) async throws -> Output
        ) -> RouteOptions {
            routes.add(
                method, path, operation: .init(method, repeat each input, answers: Output.self), file: file, line: line
            ) { request in
                try await handler(repeat try await (each input).extract(from: request)).response(to: request)
            }
        }
    }
}

extension RouteGroup: RouteBuilder {
    public func on(_ method: HTTPRequest.Method) -> Declaration { Declaration(group: self, method: method) }

    /// Declares routes of one method, whose handlers first receive the value of the group.
    public struct Declaration {
        let group: RouteGroup
        let method: HTTPRequest.Method

        /// Declares a route without inputs of its own.
        @discardableResult
        public func callAsFunction<Output: ResponseConvertible>(
            _ path: String, file: String = #fileID, line: Int = #line,
            handler: @escaping @Sendable (Value) async throws -> Output
        ) -> RouteOptions {
            let group = group.input
            return self.group.routes.add(
                method, path, operation: .init(method, answers: Output.self), file: file, line: line
            ) { request in
                try await handler(try group.value(of: request)).response(to: request)
            }
        }

        /// Declares a route with one input.
        @discardableResult
        public func callAsFunction<Input: RequestInput, Output: ResponseConvertible>(
            _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
            handler: @escaping @Sendable (Value, Input.Value) async throws -> Output
        ) -> RouteOptions {
            let group = group.input
            return self.group.routes.add(
                method, path, operation: .init(method, input, answers: Output.self), file: file, line: line
            ) { request in
                let value = try await input.extract(from: request)
                return try await handler(try group.value(of: request), value).response(to: request)
            }
        }

        /// Declares a route with two inputs.
        @discardableResult
        public func callAsFunction<First: RequestInput, Second: RequestInput, Output: ResponseConvertible>(
            _ path: String, _ first: First, _ second: Second, file: String = #fileID, line: Int = #line,
            handler: @escaping @Sendable (Value, First.Value, Second.Value) async throws -> Output
        ) -> RouteOptions {
            let group = group.input
            return self.group.routes.add(
                method, path, operation: .init(method, first, second, answers: Output.self), file: file, line: line
            ) { request in
                let values = (try await first.extract(from: request), try await second.extract(from: request))
                return try await handler(try group.value(of: request), values.0, values.1).response(to: request)
            }
        }

        /// Declares a route with any number of inputs.
        @discardableResult
        @_disfavoredOverload
        public func callAsFunction<each Input: RequestInput, Output: ResponseConvertible>(
            _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
            handler: @escaping @Sendable @concurrent (Value, repeat (each Input).Value) async throws -> Output
        ) -> RouteOptions {
            let group = group.input
            return self.group.routes.add(
                method, path, operation: .init(method, repeat each input, answers: Output.self), file: file, line: line
            ) { request in
                try await handler(
                    try group.value(of: request), repeat try await (each input).extract(from: request)
                ).response(to: request)
            }
        }
    }
}

extension NestedRouteGroup: RouteBuilder {
    public func on(_ method: HTTPRequest.Method) -> Declaration { Declaration(group: self, method: method) }

    /// Declares routes of one method, whose handlers first receive the value of the outer group and that of the inner
    /// group.
    public struct Declaration {
        let group: NestedRouteGroup
        let method: HTTPRequest.Method

        /// Declares a route with any number of inputs.
        @discardableResult
        public func callAsFunction<each Input: RequestInput, Output: ResponseConvertible>(
            _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
            handler: @escaping @Sendable @concurrent (Outer, Inner, repeat (each Input).Value) async throws -> Output
        ) -> RouteOptions {
            let (outer, inner) = (group.outer, group.inner)
            return group.routes.add(
                method, path, operation: .init(method, repeat each input, answers: Output.self), file: file, line: line
            ) { request in
                try await handler(
                    try outer.value(of: request), try inner.value(of: request),
                    repeat try await (each input).extract(from: request)
                ).response(to: request)
            }
        }
    }
}

extension OpenAPI.Operation {
    /// Creates the description of a route from its inputs and its output.
    fileprivate init<each Input: RequestInput, Output: ResponseConvertible>(
        _ method: HTTPRequest.Method, _ input: repeat each Input, answers output: Output.Type
    ) {
        self.init(method)
        repeat (each input).describe(&self)
        Output.describe(&self)
    }
}
