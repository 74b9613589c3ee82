import ApusCore
import ApusJSON
import HTTPTypes
public import NIOCore

/// Part of a request that a handler needs, declared as a value and passed to the handler decoded.
///
/// Conform to it to define your own inputs.
public protocol RequestInput<Value>: Sendable {
    /// The type of the value that the handler receives.
    associatedtype Value: Sendable

    /// Extracts the value from a request.
    /// - Throws: An `AppError` that says what is wrong with the input and what would be right.
    func extract(from request: Request) async throws -> Value

    /// Writes a value to a request, for clients: the inverse of ``extract(from:)``. By default, it throws.
    /// - Throws: An `AppError` of code `unimplemented` if clients cannot write the input.
    func write(_ value: Value, to request: inout ClientRequest) throws

    /// Adds what the input requires, and how it can fail, to the API description. By default, it adds nothing.
    func describe(_ operation: inout OpenAPI.Operation)
}

extension RequestInput {
    public func write(_ value: Value, to request: inout ClientRequest) throws {
        throw AppError(.unimplemented, "A client cannot write the input \(Self.self).")
    }

    public func describe(_ operation: inout OpenAPI.Operation) {}
}

/// The body as received, for example to verify a signature over its bytes.
public struct RawBody: RequestInput {
    public init() {}

    public func extract(from request: Request) async throws -> ByteBuffer { try await request.body.collect() }

    public func write(_ value: ByteBuffer, to request: inout ClientRequest) { request.body = value }

    public func describe(_ operation: inout OpenAPI.Operation) { operation.describeBinaryBody() }
}

/// The body as a stream of pieces, which applies backpressure to the client while nothing is read.
public struct BodyStream: RequestInput {
    public init() {}

    /// - Throws: An ``AppError`` with the reason `bodyTooLarge` if the declared length exceeds the limit. A handler that
    ///   streams its response could no longer report that.
    public func extract(from request: Request) throws -> RequestBody {
        try request.body.checkLength()
        return request.body
    }

    public func describe(_ operation: inout OpenAPI.Operation) { operation.describeBinaryBody() }
}

/// The request itself, in addition to other inputs.
public struct WholeRequest: RequestInput {
    public init() {}

    public func extract(from request: Request) -> Request { request }
}

extension OpenAPI.Operation {
    fileprivate mutating func describeBinaryBody() {
        body = .init(["application/octet-stream": .literal(["type": "string", "format": "binary"])])
        addErrorResponse(.contentTooLarge, "The body is too large.")
    }
}
