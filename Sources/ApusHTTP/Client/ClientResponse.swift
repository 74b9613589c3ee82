import ApusCore
public import HTTPTypes
public import NIOCore

/// A response as a client receives it.
public struct ClientResponse: Sendable {
    public let status: HTTPResponse.Status
    public let headers: HTTPFields
    /// All of the body.
    public let body: ByteBuffer
    /// The fields that came after the body (RFC 9110 §6.5). Those that a `TestClient` receives; other clients drop them.
    public let trailers: HTTPFields

    package init(
        status: HTTPResponse.Status, headers: HTTPFields, body: ByteBuffer, trailers: HTTPFields = [:]
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.trailers = trailers
    }

    /// The body as text.
    public var text: String { String(buffer: body) }

    /// The body, decoded from JSON.
    /// - Throws: An `AppError` that says what is wrong with it.
    public func json<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try JSONCoding.decode(type, from: body)
    }

    /// The body, decoded from JSON, of a type that says at run time alone whether it can be.
    func value<Value>() throws -> Value {
        func decode<Found: Decodable>(_ type: Found.Type) throws -> Value? { try json(type) as? Value }
        if let type = Value.self as? any Decodable.Type, let value = try decode(type) { return value }
        throw AppError(.unimplemented, "A client cannot read \(Value.self): it is not Decodable.")
    }

    /// The body as a problem document.
    /// - Throws: When it is none.
    public func problem() throws -> ProblemDetails { try json() }
}
