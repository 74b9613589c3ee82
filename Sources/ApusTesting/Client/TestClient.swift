public import Apus
public import NIOCore

/// Talks to an app as a client does, in memory or over a socket: the same calls either way.
public struct TestClient: Sendable {
    let transport: any TestTransport

    /// Sent with every request.
    public var headers: HTTPFields = [:]

    init(transport: any TestTransport) { self.transport = transport }

    /// A client of a server on a port of this machine, whoever started it.
    public init(port: Int) { self.init(transport: SocketTransport(port: port)) }

    /// The same client, fields and all, for the server on another port.
    public func at(port: Int) -> TestClient {
        var copy = TestClient(port: port)
        copy.headers = headers
        return copy
    }

    /// The same client with a bearer token.
    public func bearer(_ token: String) -> TestClient {
        var copy = self
        copy.headers[.authorization] = "Bearer \(token)"
        return copy
    }

    /// Any request.
    public func send(
        _ method: HTTPRequest.Method, _ target: String, headers: HTTPFields = [:], body: ByteBuffer? = nil
    ) async throws -> ClientResponse {
        var all = self.headers
        for field in headers { all[field.name] = field.value }
        return try await transport.send(method, target, all, body)
    }

    public func get(_ target: String, headers: HTTPFields = [:]) async throws -> ClientResponse {
        try await send(.get, target, headers: headers)
    }

    /// Sends JSON.
    public func post(_ target: String, json: some Encodable, headers: HTTPFields = [:]) async throws -> ClientResponse {
        var headers = headers
        headers[.contentType] = "application/json"
        return try await send(.post, target, headers: headers, body: JSONCoding.encode(json))
    }

    /// Sends nothing.
    public func post(_ target: String, headers: HTTPFields = [:]) async throws -> ClientResponse {
        try await send(.post, target, headers: headers)
    }

    /// Calls an endpoint as it is declared.
    /// - Throws: An ``UnexpectedResponse`` for another status than it answers when all goes well, and an `AppError` for a
    ///   value that cannot be sent or a body that cannot be read.
    public func call<Output: ResponseConvertible, each Input: RequestInput>(
        _ endpoint: Endpoint<Output, repeat each Input>, _ value: repeat (each Input).Value, headers: HTTPFields = [:]
    ) async throws -> Output {
        let request = try endpoint.request(repeat each value)
        var all = request.headers
        for field in headers { all[field.name] = field.value }
        return try endpoint.read(
            try await send(request.method, request.target, headers: all, body: request.body))
    }

    /// Opens a WebSocket, and closes it after the body.
    /// - Throws: A ``TestWebSocket/Refusal`` when the server answers with something else than 101.
    public func webSocket<Result>(
        _ target: String, headers: HTTPFields = [:], _ body: (TestWebSocket) async throws -> Result
    ) async throws -> Result {
        var all = self.headers
        for field in headers { all[field.name] = field.value }
        let socket = try await TestWebSocket.open(transport, target, all)
        do {
            let result = try await body(socket)
            try? await socket.close()
            return result
        } catch {
            try? await socket.close()
            throw error
        }
    }
}

/// How a client's requests reach the app.
protocol TestTransport: Sendable {
    func send(
        _ method: HTTPRequest.Method, _ target: String, _ headers: HTTPFields, _ body: ByteBuffer?
    ) async throws -> ClientResponse

    /// Sends a request that asks for an upgrade.
    /// - Returns: The response, and the connection if it was turned.
    func upgrade(_ target: String, _ headers: HTTPFields) async throws -> (ClientResponse, (any TestConnection)?)
}

/// A connection as bytes, seen from the client.
protocol TestConnection: Sendable {
    func read() async throws -> ByteBuffer?
    func write(_ bytes: ByteBuffer) async throws
    func close()
}
