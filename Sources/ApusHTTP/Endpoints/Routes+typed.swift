public import HTTPTypes

// Typed declarations: the inputs are listed as values, and the handler receives them decoded, in their order.
//
// Handlers with a parameter pack are `@concurrent`: Swift 6.3 calls a `nonisolated(nonsending)` one with its captures in
// the wrong registers. They run on the request's event loop all the same, by the task's executor preference.

extension Routes {
    /// A route of any method.
    @discardableResult
    public func on<each Input: RequestInput, Output: ResponseConvertible>(
        _ method: HTTPRequest.Method, _ path: String, _ input: repeat each Input, file: String = #fileID,
        line: Int = #line, handler: @escaping @Sendable @concurrent (repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        add(method, path, file: file, line: line) { request in
            try await handler(repeat try await (each input).extract(from: request)).response(to: request)
        }.describe {
            repeat (each input).describe(&$0)
            Output.describe(&$0)
        }
    }

    /// Reads something.
    @discardableResult
    public func get<each Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        on(.get, path, repeat each input, file: file, line: line, handler: handler)
    }

    /// Makes something, or does something.
    @discardableResult
    public func post<each Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        on(.post, path, repeat each input, file: file, line: line, handler: handler)
    }

    /// Replaces something.
    @discardableResult
    public func put<each Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        on(.put, path, repeat each input, file: file, line: line, handler: handler)
    }

    /// Changes a part of something.
    @discardableResult
    public func patch<each Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        on(.patch, path, repeat each input, file: file, line: line, handler: handler)
    }

    /// Removes something.
    @discardableResult
    public func delete<each Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: repeat each Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        on(.delete, path, repeat each input, file: file, line: line, handler: handler)
    }
}
