public import Apus
import FoundationEssentials
public import NIOCore

/// A response as a client receives it.
public struct TestResponse: Sendable {
    public let status: HTTPResponse.Status
    public let headers: HTTPFields
    public let body: ByteBuffer

    /// The body as text.
    public var text: String { String(buffer: body) }

    /// The body, decoded from JSON.
    public func json<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try JSONCoding.decode(type, from: body)
    }

    /// The body as a problem document.
    /// - Throws: When it is none.
    public func problem() throws -> ProblemDetails { try json() }
}
