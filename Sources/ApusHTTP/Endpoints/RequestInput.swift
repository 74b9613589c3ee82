import ApusCore
import ApusJSON
import HTTPTypes
public import NIOCore

/// One thing that a handler needs of a request, declared as a value and received decoded.
///
/// Conform to it for inputs of your own.
public protocol RequestInput<Value>: Sendable {
    /// What the handler receives.
    associatedtype Value: Sendable

    /// - Throws: An `AppError` that says what is wrong with the input and what would be right.
    func extract(from request: Request) async throws -> Value

    /// The inverse, for clients: puts a value where ``extract(from:)`` finds it. By default it cannot.
    /// - Throws: An `AppError` of code `unimplemented` when only servers have a use for the input.
    func write(_ value: Value, to request: inout ClientRequest) throws

    /// Says what it asks for, and how it may fail. By default nothing.
    func describe(_ operation: inout OpenAPI.Operation)
}

extension RequestInput {
    public func write(_ value: Value, to request: inout ClientRequest) throws {
        throw AppError(.unimplemented, "\(Self.self) is no input that a client can write.")
    }

    public func describe(_ operation: inout OpenAPI.Operation) {}
}

/// The body as it came, for signatures that are made over its bytes.
public struct RawBody: RequestInput {
    public init() {}

    public func extract(from request: Request) async throws -> ByteBuffer { try await request.body.collect() }

    public func write(_ value: ByteBuffer, to request: inout ClientRequest) { request.body = value }

    public func describe(_ operation: inout OpenAPI.Operation) { operation.takesBytes() }
}

/// The body as it comes, piece by piece: the client is held back while nobody reads.
public struct BodyStream: RequestInput {
    public init() {}

    public func extract(from request: Request) -> RequestBody { request.body }

    public func describe(_ operation: inout OpenAPI.Operation) { operation.takesBytes() }
}

/// The request itself, beside other inputs.
public struct WholeRequest: RequestInput {
    public init() {}

    public func extract(from request: Request) -> Request { request }
}

extension OpenAPI.Operation {
    fileprivate mutating func takesBytes() {
        body = .init(["application/octet-stream": .literal(["type": "string", "format": "binary"])])
        mayFail(.contentTooLarge, "The body is too large.")
    }
}
