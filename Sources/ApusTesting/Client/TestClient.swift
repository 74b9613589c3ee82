public import Apus
public import NIOCore

/// A client of an app under test, in memory or over a socket, with the same calls for both.
public struct TestClient: Sendable {
    let transport: any TestTransport

    /// Header fields to send with every request.
    public var headers: HTTPFields = [:]

    init(transport: any TestTransport) { self.transport = transport }

    /// Creates a client of any server that listens on a local port.
    public init(port: Int) { self.init(transport: SocketTransport(port: port)) }

    /// Returns a client with the same header fields for the server on another local port.
    public func at(port: Int) -> TestClient {
        var copy = TestClient(port: port)
        copy.headers = headers
        return copy
    }

    /// Returns the same client with a bearer token.
    public func bearer(_ token: String) -> TestClient {
        var copy = self
        copy.headers[.authorization] = "Bearer \(token)"
        return copy
    }

    /// Sends a request.
    public func send(
        _ method: HTTPRequest.Method, _ target: String, headers: HTTPFields = [:], body: ByteBuffer? = nil
    ) async throws -> ClientResponse {
        var all = self.headers
        for field in headers { all[field.name] = field.value }
        return try await transport.send(method, target, all, body)
    }

    /// Sends a GET request.
    public func get(_ target: String, headers: HTTPFields = [:]) async throws -> ClientResponse {
        try await send(.get, target, headers: headers)
    }

    /// Sends a POST request with a JSON body.
    public func post(_ target: String, json: some Encodable, headers: HTTPFields = [:]) async throws -> ClientResponse {
        var headers = headers
        headers[.contentType] = "application/json"
        return try await send(.post, target, headers: headers, body: JSONCoding.encode(json))
    }

    /// Sends a POST request without a body.
    public func post(_ target: String, headers: HTTPFields = [:]) async throws -> ClientResponse {
        try await send(.post, target, headers: headers)
    }

    /// Calls a declared endpoint.
    /// - Throws: An ``UnexpectedResponse`` if the status is not one of the endpoint's success statuses; an `AppError`
    ///   if a value cannot be encoded or the body cannot be decoded.
    public func call<Output: ResponseConvertible, each Input: RequestInput>(
        _ endpoint: Endpoint<Output, repeat each Input>, _ value: repeat (each Input).Value, headers: HTTPFields = [:]
    ) async throws -> Output {
        let request = try endpoint.request(repeat each value)
        var all = request.headers
        for field in headers { all[field.name] = field.value }
        return try endpoint.read(
            try await send(request.method, request.target, headers: all, body: request.body))
    }

    /// Opens a WebSocket while the body runs.
    /// - Throws: A ``TestWebSocket/Refusal`` if the server does not respond with 101.
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

/// A transport that delivers the requests of a client to the app.
protocol TestTransport: Sendable {
    func send(
        _ method: HTTPRequest.Method, _ target: String, _ headers: HTTPFields, _ body: ByteBuffer?
    ) async throws -> ClientResponse

    /// Sends an upgrade request.
    /// - Returns: The response, and the connection if it was upgraded.
    func upgrade(_ target: String, _ headers: HTTPFields) async throws -> (ClientResponse, (any TestConnection)?)
}

/// The client's end of a connection, as a byte stream.
protocol TestConnection: Sendable {
    func read() async throws -> ByteBuffer?
    func write(_ bytes: ByteBuffer) async throws
    func close()
}
