public import HTTPTypes

// The declarations of most routes, which have one input or none: the same as those of any number, but their handlers need not
// be `@concurrent`, which spares every request two looks at where it runs (0.4 µs).

extension Routes {
    /// A route of any method.
    @discardableResult
    public func on<Output: ResponseConvertible>(
        _ method: HTTPRequest.Method, _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable () async throws -> Output
    ) -> RouteOptions {
        add(method, path, file: file, line: line) { request in try await handler().response(to: request) }
            .describe { Output.describe(&$0) }
    }

    /// A route of any method.
    @discardableResult
    public func on<Input: RequestInput, Output: ResponseConvertible>(
        _ method: HTTPRequest.Method, _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Input.Value) async throws -> Output
    ) -> RouteOptions {
        add(method, path, file: file, line: line) { request in
            try await handler(try await input.extract(from: request)).response(to: request)
        }.describe {
            input.describe(&$0)
            Output.describe(&$0)
        }
    }

    /// Reads something.
    @discardableResult
    public func get<Output: ResponseConvertible>(
        _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable () async throws -> Output
    ) -> RouteOptions {
        on(.get, path, file: file, line: line, handler: handler)
    }

    /// Reads something.
    @discardableResult
    public func get<Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Input.Value) async throws -> Output
    ) -> RouteOptions {
        on(.get, path, input, file: file, line: line, handler: handler)
    }

    /// Makes something, or does something.
    @discardableResult
    public func post<Output: ResponseConvertible>(
        _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable () async throws -> Output
    ) -> RouteOptions {
        on(.post, path, file: file, line: line, handler: handler)
    }

    /// Makes something, or does something.
    @discardableResult
    public func post<Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Input.Value) async throws -> Output
    ) -> RouteOptions {
        on(.post, path, input, file: file, line: line, handler: handler)
    }

    /// Replaces something.
    @discardableResult
    public func put<Output: ResponseConvertible>(
        _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable () async throws -> Output
    ) -> RouteOptions {
        on(.put, path, file: file, line: line, handler: handler)
    }

    /// Replaces something.
    @discardableResult
    public func put<Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Input.Value) async throws -> Output
    ) -> RouteOptions {
        on(.put, path, input, file: file, line: line, handler: handler)
    }

    /// Changes a part of something.
    @discardableResult
    public func patch<Output: ResponseConvertible>(
        _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable () async throws -> Output
    ) -> RouteOptions {
        on(.patch, path, file: file, line: line, handler: handler)
    }

    /// Changes a part of something.
    @discardableResult
    public func patch<Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Input.Value) async throws -> Output
    ) -> RouteOptions {
        on(.patch, path, input, file: file, line: line, handler: handler)
    }

    /// Removes something.
    @discardableResult
    public func delete<Output: ResponseConvertible>(
        _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable () async throws -> Output
    ) -> RouteOptions {
        on(.delete, path, file: file, line: line, handler: handler)
    }

    /// Removes something.
    @discardableResult
    public func delete<Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Input.Value) async throws -> Output
    ) -> RouteOptions {
        on(.delete, path, input, file: file, line: line, handler: handler)
    }
}

extension RoutesWithInput {
    /// A route of any method.
    @discardableResult
    public func on<Output: ResponseConvertible>(
        _ method: HTTPRequest.Method, _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value) async throws -> Output
    ) -> RouteOptions {
        let leading = leading
        return routes.add(method, path, file: file, line: line) { request in
            try await handler(try await leading.extract(from: request)).response(to: request)
        }.describe {
            leading.describe(&$0)
            Output.describe(&$0)
        }
    }

    /// A route of any method.
    @discardableResult
    public func on<Input: RequestInput, Output: ResponseConvertible>(
        _ method: HTTPRequest.Method, _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value, Input.Value) async throws -> Output
    ) -> RouteOptions {
        let leading = leading
        return routes.add(method, path, file: file, line: line) { request in
            let first = try await leading.extract(from: request)
            return try await handler(first, try await input.extract(from: request)).response(to: request)
        }.describe {
            leading.describe(&$0)
            input.describe(&$0)
            Output.describe(&$0)
        }
    }

    /// Reads something.
    @discardableResult
    public func get<Output: ResponseConvertible>(
        _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value) async throws -> Output
    ) -> RouteOptions {
        on(.get, path, file: file, line: line, handler: handler)
    }

    /// Reads something.
    @discardableResult
    public func get<Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value, Input.Value) async throws -> Output
    ) -> RouteOptions {
        on(.get, path, input, file: file, line: line, handler: handler)
    }

    /// Makes something, or does something.
    @discardableResult
    public func post<Output: ResponseConvertible>(
        _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value) async throws -> Output
    ) -> RouteOptions {
        on(.post, path, file: file, line: line, handler: handler)
    }

    /// Makes something, or does something.
    @discardableResult
    public func post<Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value, Input.Value) async throws -> Output
    ) -> RouteOptions {
        on(.post, path, input, file: file, line: line, handler: handler)
    }

    /// Replaces something.
    @discardableResult
    public func put<Output: ResponseConvertible>(
        _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value) async throws -> Output
    ) -> RouteOptions {
        on(.put, path, file: file, line: line, handler: handler)
    }

    /// Replaces something.
    @discardableResult
    public func put<Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value, Input.Value) async throws -> Output
    ) -> RouteOptions {
        on(.put, path, input, file: file, line: line, handler: handler)
    }

    /// Changes a part of something.
    @discardableResult
    public func patch<Output: ResponseConvertible>(
        _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value) async throws -> Output
    ) -> RouteOptions {
        on(.patch, path, file: file, line: line, handler: handler)
    }

    /// Changes a part of something.
    @discardableResult
    public func patch<Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value, Input.Value) async throws -> Output
    ) -> RouteOptions {
        on(.patch, path, input, file: file, line: line, handler: handler)
    }

    /// Removes something.
    @discardableResult
    public func delete<Output: ResponseConvertible>(
        _ path: String, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value) async throws -> Output
    ) -> RouteOptions {
        on(.delete, path, file: file, line: line, handler: handler)
    }

    /// Removes something.
    @discardableResult
    public func delete<Input: RequestInput, Output: ResponseConvertible>(
        _ path: String, _ input: Input, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Leading.Value, Input.Value) async throws -> Output
    ) -> RouteOptions {
        on(.delete, path, input, file: file, line: line, handler: handler)
    }
}
