import ApusCore
import ApusJSON
public import HTTPTypes
public import NIOCore

/// A response received by a client.
public struct ClientResponse: Sendable {
    public let status: HTTPResponse.Status
    public let headers: HTTPFields
    /// The complete body.
    public let body: ByteBuffer
    /// The trailer fields (RFC 9110 §6.5). Only `TestClient` provides them; other clients discard them.
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

    /// Decodes the body from JSON.
    /// - Throws: An `AppError` with code `internal` and the `DecodingError` as its cause: what another service sends is not
    ///   the fault of one's own client.
    public func json<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        do {
            return try JSON.Decoder.standard.decode(type, from: body.readableBytesView)
        } catch {
            throw AppError(.internal, "The response could not be decoded as \(type).", cause: error)
        }
    }

    /// Decodes the body from JSON as a type whose conformance to `Decodable` is only known at run time.
    func value<Value>() throws -> Value {
        func decode<Found: Decodable>(_ type: Found.Type) throws -> Value? { try json(type) as? Value }
        if let type = Value.self as? any Decodable.Type, let value = try decode(type) { return value }
        throw AppError(
            .unimplemented, "A client cannot decode \(Value.self), because it does not conform to Decodable.")
    }

    /// Decodes the body as a problem document.
    /// - Throws: An `AppError` if it is not a problem document.
    public func problem() throws -> ProblemDetails { try json() }
}
