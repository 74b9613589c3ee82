import ApusHTTP
public import HTTPTypes
public import NIOCore

/// What another service answered.
public struct ClientResponse: Sendable {
    public let status: HTTPResponse.Status
    public let headers: HTTPFields
    /// All of the body.
    public let body: ByteBuffer

    /// The body, decoded from JSON.
    /// - Throws: An `AppError` that says what is wrong with it.
    public func json<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try JSONCoding.decode(type, from: body)
    }
}
