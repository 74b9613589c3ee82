import ApusCore
import HTTPTypes
import NIOCore

/// Decompresses the bodies of requests that come as `Content-Encoding: gzip`, `deflate` or `zstd`; any other coding is 415.
///
/// The limit of a body holds for what comes out. Beside it, a body that is far larger than what was sent is refused: a
/// kilobyte can stand for a megabyte.
public struct Decompression: Middleware {
    private let maximumRatio: Int

    /// - Parameter maximumRatio: How many bytes may come out for each that was sent. 100. Up to 64 KiB may come out of any.
    public init(maximumRatio: Int = 100) { self.maximumRatio = maximumRatio }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        guard let field = request.headers[.contentEncoding] else { return await next(request) }
        guard let coding = ContentCoding.of(field) else {
            var error = AppError(
                .invalidArgument, "The Content-Encoding must be gzip, deflate or zstd; it is \(field.prefix(64)).",
                reason: .unsupportedMediaType)
            // RFC 9110 §12.5.3: what would have been understood.
            error.details.metadata["accept-encoding"] = ContentCoding.allCases.map(\.rawValue).joined(separator: ", ")
            throw error
        }
        guard let coding else { return await next(request) }
        var request = request
        let source = try DecompressingSource(request.body, coding, maximumRatio: maximumRatio)
        request.body = RequestBody(source, limit: request.body.limit)
        request.headers[.contentEncoding] = nil
        request.headers[.contentLength] = nil
        return await next(request)
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        if operation.body != nil { operation.mayFail(.unsupportedMediaType, "The body is compressed in another way.") }
    }
}

/// The bytes of a compressed body, decompressed as they are asked for.
///
/// `@unchecked Sendable`: ``OneAtATime`` lets one task in, and what it did is seen by the next; a second one at the same time
/// receives an error.
private final class DecompressingSource: RequestBodySource, @unchecked Sendable {
    /// Bytes that are made at once.
    private static let block = 64 << 10

    private let body: RequestBody
    private var iterator: RequestBody.Iterator
    private let decompressor: Decompressor
    private let maximumRatio: Int
    private let door = OneAtATime()
    private var received = 0
    private var made = 0

    init(_ body: RequestBody, _ coding: ContentCoding, maximumRatio: Int) throws {
        self.body = body
        // The limit of the route may be another one than that of the server, and is known when the body is read.
        var compressed = body
        compressed.limit = .max
        iterator = compressed.makeAsyncIterator()
        decompressor = try Decompressor(coding)
        self.maximumRatio = maximumRatio
    }

    var length: Int? { nil }
    var trailers: HTTPFields { body.trailers }

    /// What compression may add to bytes that it cannot make smaller.
    private static func maximumCompressed(_ limit: Int) -> Int {
        let (sum, overflows) = limit.addingReportingOverflow(limit / 8 + 1024)
        return overflows ? .max : sum
    }

    func next(limit: Int) async throws -> ByteBuffer? {
        try door.enter("A compressed body is read")
        defer { door.leave() }
        while true {
            if let bytes = try decompressor.next(atMost: Self.block) {
                made += bytes.readableBytes
                guard made <= max(Self.block, received.multipliedReportingOverflow(by: maximumRatio).partialValue)
                else {
                    throw AppError(
                        .outOfRange, "The body is more than \(maximumRatio) times as large as what was sent.",
                        reason: .bodyTooLarge)
                }
                return bytes
            }
            guard let piece = try await iterator.next() else {
                // A request without a body is no compressed stream of nothing.
                if received > 0 { try decompressor.finish() }
                return nil
            }
            received += piece.readableBytes
            guard received <= Self.maximumCompressed(limit) else { throw RequestBody.tooLarge(limit) }
            decompressor.append(piece)
        }
    }
}
