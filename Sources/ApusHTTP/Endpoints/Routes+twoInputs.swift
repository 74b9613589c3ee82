public import HTTPTypes

// The declarations of routes with two inputs: as those with one, for the same reason.

extension Routes {
    /// A route of any method.
    @discardableResult
    public func on<First: RequestInput, Second: RequestInput, Output: ResponseConvertible>(
        _ method: HTTPRequest.Method, _ path: String, _ first: First, _ second: Second, file: String = #fileID,
        line: Int = #line, handler: @escaping @Sendable (First.Value, Second.Value) async throws -> Output
    ) -> RouteOptions {
        add(method, path, file: file, line: line) { request in
            let value = try await first.extract(from: request)
            return try await handler(value, try await second.extract(from: request)).response(to: request)
        }.describe {
            first.describe(&$0)
            second.describe(&$0)
            Output.describe(&$0)
        }
    }

    /// Reads something.
    @discardableResult
    public func get<First: RequestInput, Second: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ first: First, _ second: Second, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (First.Value, Second.Value) async throws -> Output
    ) -> RouteOptions {
        on(.get, path, first, second, file: file, line: line, handler: handler)
    }

    /// Makes something, or does something.
    @discardableResult
    public func post<First: RequestInput, Second: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ first: First, _ second: Second, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (First.Value, Second.Value) async throws -> Output
    ) -> RouteOptions {
        on(.post, path, first, second, file: file, line: line, handler: handler)
    }

    /// Replaces something.
    @discardableResult
    public func put<First: RequestInput, Second: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ first: First, _ second: Second, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (First.Value, Second.Value) async throws -> Output
    ) -> RouteOptions {
        on(.put, path, first, second, file: file, line: line, handler: handler)
    }

    /// Changes a part of something.
    @discardableResult
    public func patch<First: RequestInput, Second: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ first: First, _ second: Second, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (First.Value, Second.Value) async throws -> Output
    ) -> RouteOptions {
        on(.patch, path, first, second, file: file, line: line, handler: handler)
    }

    /// Removes something.
    @discardableResult
    public func delete<First: RequestInput, Second: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ first: First, _ second: Second, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (First.Value, Second.Value) async throws -> Output
    ) -> RouteOptions {
        on(.delete, path, first, second, file: file, line: line, handler: handler)
    }
}
