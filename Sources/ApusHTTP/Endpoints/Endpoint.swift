public import HTTPTypes

/// An endpoint as a value: what it asks for and what it answers, said once for those who serve it and those who call it.
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
/// A route that nobody calls from Swift needs none: it is declared where it is served.
public struct Endpoint<Output: ResponseConvertible, each Input: RequestInput>: Sendable {
    public let method: HTTPRequest.Method
    /// From the root on: it is served by groups without a path of their own.
    public let path: String
    let inputs: (repeat each Input)

    public init(
        _ method: HTTPRequest.Method, _ path: String, _ input: repeat each Input, answers output: Output.Type
    ) {
        self.method = method
        self.path = path
        inputs = (repeat each input)
    }

    /// The request that carries these values.
    /// - Throws: An `AppError` for an input that only a server has a use for.
    package func request(_ value: repeat (each Input).Value) throws -> ClientRequest {
        var request = ClientRequest(method, path)
        repeat try (each inputs).write(each value, to: &request)
        return request
    }

    /// What a response to it says.
    /// - Throws: An ``UnexpectedResponse`` for another status than it answers when all goes well, or an `AppError` that says
    ///   what is wrong with the body.
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
    /// The route of an endpoint.
    @discardableResult
    public func on<Output: ResponseConvertible>(
        _ endpoint: Endpoint<Output>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable () async throws -> Output
    ) -> RouteOptions {
        whole(on(endpoint.method)(endpoint.path, file: file, line: line, handler: handler))
    }

    /// The route of an endpoint.
    @discardableResult
    public func on<Output: ResponseConvertible, Input: RequestInput>(
        _ endpoint: Endpoint<Output, Input>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Input.Value) async throws -> Output
    ) -> RouteOptions {
        whole(on(endpoint.method)(endpoint.path, endpoint.inputs, file: file, line: line, handler: handler))
    }

    /// The route of an endpoint.
    @discardableResult
    public func on<Output: ResponseConvertible, each Input: RequestInput>(
        _ endpoint: Endpoint<Output, repeat each Input>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        whole(on(endpoint.method)(endpoint.path, repeat each endpoint.inputs, file: file, line: line, handler: handler))
    }

    fileprivate func whole(_ options: RouteOptions) -> RouteOptions {
        if !prefix.isEmpty {
            let prefix = prefix
            change(options.index) { $0.problem = .endpointInGroup($0.path, prefix: prefix, $0.site) }
        }
        return options
    }
}

extension RouteGroup {
    /// The route of an endpoint.
    @discardableResult
    public func on<Output: ResponseConvertible>(
        _ endpoint: Endpoint<Output>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Value) async throws -> Output
    ) -> RouteOptions {
        routes.whole(on(endpoint.method)(endpoint.path, file: file, line: line, handler: handler))
    }

    /// The route of an endpoint.
    @discardableResult
    public func on<Output: ResponseConvertible, Input: RequestInput>(
        _ endpoint: Endpoint<Output, Input>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable (Value, Input.Value) async throws -> Output
    ) -> RouteOptions {
        routes.whole(on(endpoint.method)(endpoint.path, endpoint.inputs, file: file, line: line, handler: handler))
    }

    /// The route of an endpoint.
    @discardableResult
    public func on<Output: ResponseConvertible, each Input: RequestInput>(
        _ endpoint: Endpoint<Output, repeat each Input>, file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (Value, repeat (each Input).Value) async throws -> Output
    ) -> RouteOptions {
        routes.whole(
            on(endpoint.method)(endpoint.path, repeat each endpoint.inputs, file: file, line: line, handler: handler))
    }
}
