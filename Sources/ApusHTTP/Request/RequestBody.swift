import ApusCore
public import HTTPTypes
public import NIOCore

/// What follows a request's header: at hand already, or still on its way.
///
/// Read it whole with ``collect()``, or piece by piece as an asynchronous sequence: the client is held back while nobody
/// reads. Either way no more than ``limit`` bytes are let through.
public struct RequestBody: Sendable {
    enum Storage: Sendable {
        case empty
        case buffer(ByteBuffer)
        case stream(any RequestBodySource)
    }

    let storage: Storage

    /// The most bytes that may be read. 1 MiB unless the server or the route says otherwise.
    public package(set) var limit: Int

    /// Whether the route says so itself, which counts more than what its groups say.
    package var isLimitOfRoute = false

    /// The default ``limit``: 1 MiB.
    public static let defaultLimit = 1 << 20

    /// No body.
    public static var empty: RequestBody { RequestBody(ByteBuffer()) }

    /// A body that is at hand.
    public init(_ bytes: ByteBuffer) {
        storage = bytes.readableBytes > 0 ? .buffer(bytes) : .empty
        limit = Self.defaultLimit
    }

    /// The same body under the same limit, now that it has been read.
    package func replaced(by bytes: ByteBuffer) -> RequestBody {
        var body = RequestBody(bytes)
        body.limit = limit
        return body
    }

    /// A body that is still on its way.
    package init(_ source: any RequestBodySource, limit: Int) {
        storage = .stream(source)
        self.limit = limit
    }

    /// The length that the client announced, or that is at hand; `nil` for a chunked body.
    public var length: Int? {
        switch storage {
        case .empty: 0
        case .buffer(let buffer): buffer.readableBytes
        case .stream(let source): source.length
        }
    }

    /// The fields that came after the body (RFC 9110 §6.5): empty until it has been read to its end.
    public var trailers: HTTPFields {
        switch storage {
        case .empty, .buffer: [:]
        case .stream(let source): source.trailers
        }
    }

    /// All of it in one buffer, without a copy if it was at hand.
    /// - Throws: An ``AppError`` with the reason `bodyTooLarge` past ``limit``, or what the connection throws.
    public func collect() async throws -> ByteBuffer {
        try checkLength()
        switch storage {
        case .empty: return ByteBuffer()
        case .buffer(let buffer): return buffer
        case .stream:
            var whole = ByteBuffer()
            for try await piece in self { whole.writeImmutableBuffer(piece) }
            return whole
        }
    }

    /// - Throws: An ``AppError`` with the reason `bodyTooLarge` when the announced length is past ``limit``.
    func checkLength() throws {
        if let length, length > limit { throw Self.tooLarge(limit) }
    }

    static func tooLarge(_ limit: Int) -> AppError {
        AppError(.outOfRange, "The body is larger than the \(limit) bytes allowed here.", reason: .bodyTooLarge)
    }
}

extension RequestBody: AsyncSequence {
    public typealias Element = ByteBuffer

    public func makeAsyncIterator() -> Iterator { Iterator(body: self) }

    /// Hands out the pieces and counts them against the limit.
    public struct Iterator: AsyncIteratorProtocol {
        private let body: RequestBody
        private var count = 0
        private var isFinished = false

        init(body: RequestBody) { self.body = body }

        public mutating func next() async throws -> ByteBuffer? {
            // Before anything is read: a client that waits for 100 is to hear of it now (RFC 9110 §10.1.1).
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

/// Where a body that is still on its way comes from: implemented by the engine.
package protocol RequestBodySource: AnyObject, Sendable {
    /// The announced length, if there is one.
    var length: Int? { get }
    /// The fields after the body, once all of it has come.
    var trailers: HTTPFields { get }
    /// The next piece, `nil` after the last one.
    /// - Parameter limit: The most bytes that the reader takes. Who makes many of few must know it; the reader counts itself.
    func next(limit: Int) async throws -> ByteBuffer?
}
