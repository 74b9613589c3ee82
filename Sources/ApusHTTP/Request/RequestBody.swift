import ApusCore
public import HTTPTypes
public import NIOCore

/// The body of a request, either in memory or still being received.
///
/// Read the complete body with ``collect()``, or read it in pieces as an asynchronous sequence, which applies
/// backpressure to the client while nothing is read. Either way, at most ``limit`` bytes can be read.
public struct RequestBody: Sendable {
    enum Storage: Sendable {
        case empty
        case buffer(ByteBuffer)
        case stream(any RequestBodySource)
    }

    let storage: Storage

    /// The maximum size of the body, in bytes. 1 MiB unless the server or the route sets another limit.
    public package(set) var limit: Int

    /// Whether the limit was set by the route itself, which takes precedence over its groups.
    package var isRouteLimit = false

    /// The default ``limit``: 1 MiB.
    public static let defaultLimit = 1 << 20

    /// An empty body.
    public static var empty: RequestBody { RequestBody(ByteBuffer()) }

    /// Creates a body that is in memory.
    public init(_ bytes: ByteBuffer) {
        storage = bytes.readableBytes > 0 ? .buffer(bytes) : .empty
        limit = Self.defaultLimit
    }

    /// Returns the body in memory, after it has been read, with the same limit.
    package func replaced(by bytes: ByteBuffer) -> RequestBody {
        var body = RequestBody(bytes)
        body.limit = limit
        body.isRouteLimit = isRouteLimit
        return body
    }

    /// Returns the body with another source, with the same limit.
    package func replaced(by source: any RequestBodySource) -> RequestBody {
        var body = RequestBody(source, limit: limit)
        body.isRouteLimit = isRouteLimit
        return body
    }

    /// Creates a body that is still being received.
    package init(_ source: any RequestBodySource, limit: Int) {
        storage = .stream(source)
        self.limit = limit
    }

    /// The declared length, or the size of a body in memory; `nil` for a chunked body.
    public var length: Int? {
        switch storage {
        case .empty: 0
        case .buffer(let buffer): buffer.readableBytes
        case .stream(let source): source.length
        }
    }

    /// The trailer fields (RFC 9110 §6.5), which are empty until the body has been read to its end.
    public var trailers: HTTPFields {
        switch storage {
        case .empty, .buffer: [:]
        case .stream(let source): source.trailers
        }
    }

    /// Returns the complete body in one buffer, without copying it if it is in memory.
    /// - Throws: An ``AppError`` with the reason `bodyTooLarge` if the body exceeds ``limit``, or an error of the
    ///   connection.
    public func collect() async throws -> ByteBuffer {
        try checkLength()
        switch storage {
        case .empty: return ByteBuffer()
        case .buffer(let buffer): return buffer
        case .stream:
            var bytes = ByteBuffer()
            for try await piece in self { bytes.writeImmutableBuffer(piece) }
            return bytes
        }
    }

    /// Checks the declared length.
    /// - Throws: An ``AppError`` with the reason `bodyTooLarge` if it exceeds ``limit``.
    func checkLength() throws {
        if let length, length > limit { throw Self.tooLarge(limit) }
    }

    static func tooLarge(_ limit: Int) -> AppError {
        AppError(.outOfRange, "The body exceeds the limit of \(limit) bytes.", reason: .bodyTooLarge)
    }
}

extension RequestBody: AsyncSequence {
    public typealias Element = ByteBuffer

    public func makeAsyncIterator() -> Iterator { Iterator(body: self) }

    /// An iterator over the pieces of a body that enforces the limit.
    public struct Iterator: AsyncIteratorProtocol {
        private let body: RequestBody
        private var count = 0
        private var isFinished = false

        init(body: RequestBody) { self.body = body }

        public mutating func next() async throws -> ByteBuffer? {
            // Before anything is read: a client that waits for 100 (Continue) is rejected immediately
            // (RFC 9110 §10.1.1).
            if count == 0, !isFinished { try body.checkLength() }
            guard !isFinished, let piece = try await nextPiece() else { return nil }
            count += piece.readableBytes
            guard count <= body.limit else {
                isFinished = true
                throw RequestBody.tooLarge(body.limit)
            }
            return piece
        }

        private mutating func nextPiece() async throws -> ByteBuffer? {
            switch body.storage {
            case .empty: return nil
            case .buffer(let buffer):
                isFinished = true
                return buffer.readableBytes > 0 ? buffer : nil
            case .stream(let source): return try await source.next(limit: body.limit)
            }
        }
    }
}

/// The source of a body that is still being received, implemented by the engine.
package protocol RequestBodySource: AnyObject, Sendable {
    /// The declared length, if there is one.
    var length: Int? { get }
    /// The trailer fields, once the complete body has been received.
    var trailers: HTTPFields { get }
    /// Returns the next piece, or `nil` after the last one.
    /// - Parameter limit: The maximum number of bytes that the reader accepts, for sources that expand their input,
    ///   such as decompression. The reader enforces the limit itself.
    func next(limit: Int) async throws -> ByteBuffer?
}
