public import HTTPTypes

/// Routes that share a leading input: the value that each of their handlers receives first.
///
/// ```swift
/// routes.group("v1/orders", Authenticated(Customer.self)) { routes in
///     routes.get(":id", Path("id", as: Order.ID.self)) { customer, id in try await orders.get(id, for: customer) }
/// }
/// ```
public struct RoutesWithInput<Leading: RequestInput> {
    package let routes: Routes
    package let leading: Leading

    init(_ routes: Routes, _ leading: Leading) {
        self.routes = routes
        self.leading = leading
    }

    /// A route of any method.
    @discardableResult
    public func on<each Input: RequestInput, Output: ResponseConvertible>(
        _ method: HTTPRequest.Method, _ path: String, _ input: repeat each Input, file: String = #fileID,
        line: Int = #line,
        handler: @escaping @Sendable @concurrent (Leading.Value, repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        let leading = leading
        return routes.add(method, path, file: file, line: line) { request in
            try await handler(
                try await leading.extract(from: request), repeat try await (each input).extract(from: request)
            ).response(to: request)
        }.describe {
            leading.describe(&$0)
            repeat (each input).describe(&$0)
            Output.describe(&$0)
        }
    }

    /// Reads something.
    @discardableResult
    public func get<each Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (Leading.Value, repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        on(.get, path, repeat each input, file: file, line: line, handler: handler)
    }

    /// Makes something, or does something.
    @discardableResult
    public func post<each Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (Leading.Value, repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        on(.post, path, repeat each input, file: file, line: line, handler: handler)
    }

    /// Replaces something.
    @discardableResult
    public func put<each Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (Leading.Value, repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        on(.put, path, repeat each input, file: file, line: line, handler: handler)
    }

    /// Changes a part of something.
    @discardableResult
    public func patch<each Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (Leading.Value, repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        on(.patch, path, repeat each input, file: file, line: line, handler: handler)
    }

    /// Removes something.
    @discardableResult
    public func delete<each Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (Leading.Value, repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        on(.delete, path, repeat each input, file: file, line: line, handler: handler)
    }
}
