public import HTTPTypes

/// An endpoint as a value: its inputs and its output, declared once for the server and its clients.
///
/// ```swift
/// enum OrderEndpoints {
///     static let show = Endpoint(.get, "v1/orders/:id", Path("id", as: Order.ID.self), answers: OrderView.self)
/// }
///
/// routes.on(OrderEndpoints.show) { id in try await orders.get(id) }
/// let order = try await client.call(OrderEndpoints.show, id)
/// ```
///
/// A route that is not called from Swift needs no endpoint: declare it where it is served.
public struct Endpoint<Output: ResponseConvertible, each Input: RequestInput>: Sendable {
    public let method: HTTPRequest.Method
    /// The absolute path. The endpoint can only be served in groups without a path.
    public let path: String
    let inputs: (repeat each Input)

    public init(
        _ method: HTTPRequest.Method, _ path: String, _ input: repeat each Input, answers output: Output.Type
    ) {
        self.method = method
        self.path = path
        inputs = (repeat each input)
    }

    /// Returns the request for the given values of the inputs.
    /// - Throws: An `AppError` for an input that clients cannot write.
    package func request(_ value: repeat (each Input).Value) throws -> ClientRequest {
        var request = ClientRequest(method, path)
        repeat try (each inputs).write(each value, to: &request)
        return request
    }

    /// Reads the output from a response.
    /// - Throws: An ``UnexpectedResponse`` if the status is not one of the output's, or an `AppError` that says what is
    ///   wrong with the body.
    package func read(_ response: ClientResponse) throws -> Output {
        var operation = OpenAPI.Operation(method)
        Output.describe(&operation)
        guard operation.responses.isEmpty || operation.responses[response.status.code] != nil else {
            throw UnexpectedResponse(response: response)
        }
        return try Output.read(response)
    }
}

extension Routes {
    /// Declares the route of an endpoint.
    @discardableResult
    public func on<Output: ResponseConvertible>(
        _ endpoint: Endpoint<Output>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable () async throws -> Output
    ) -> RouteOptions {
        checked(on(endpoint.method)(endpoint.path, file: file, line: line, handler: handler))
    }

    /// Declares the route of an endpoint.
    @discardableResult
    public func on<Output: ResponseConvertible, Input: RequestInput>(
        _ endpoint: Endpoint<Output, Input>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Input.Value) async throws -> Output
    ) -> RouteOptions {
        checked(on(endpoint.method)(endpoint.path, endpoint.inputs, file: file, line: line, handler: handler))
    }

    /// Declares the route of an endpoint.
    @discardableResult
    @_disfavoredOverload
    public func on<Output: ResponseConvertible, each Input: RequestInput>(
        _ endpoint: Endpoint<Output, repeat each Input>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        checked(
            on(endpoint.method)(endpoint.path, repeat each endpoint.inputs, file: file, line: line, handler: handler))
    }

    /// Records a problem if the group of an endpoint has a path, because the path of an endpoint is absolute.
    fileprivate func checked(_ options: RouteOptions) -> RouteOptions {
        if !prefix.isEmpty {
            let prefix = prefix
            change(options.index) { $0.problem = .endpointInGroup($0.path, prefix: prefix, $0.site) }
        }
        return options
    }
}

extension RouteGroup {
    /// Declares the route of an endpoint.
    @discardableResult
    public func on<Output: ResponseConvertible>(
        _ endpoint: Endpoint<Output>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Value) async throws -> Output
    ) -> RouteOptions {
        routes.checked(on(endpoint.method)(endpoint.path, file: file, line: line, handler: handler))
    }

    /// Declares the route of an endpoint.
    @discardableResult
    public func on<Output: ResponseConvertible, Input: RequestInput>(
        _ endpoint: Endpoint<Output, Input>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Value, Input.Value) async throws -> Output
    ) -> RouteOptions {
        routes.checked(on(endpoint.method)(endpoint.path, endpoint.inputs, file: file, line: line, handler: handler))
    }

    /// Declares the route of an endpoint.
    @discardableResult
    @_disfavoredOverload
    public func on<Output: ResponseConvertible, each Input: RequestInput>(
        _ endpoint: Endpoint<Output, repeat each Input>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (Value, repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        routes.checked(
            on(endpoint.method)(endpoint.path, repeat each endpoint.inputs, file: file, line: line, handler: handler))
    }
}
