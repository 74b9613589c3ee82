import ApusCore
import HTTPTypes
import NIOCore

/// Decompresses request bodies with `Content-Encoding: gzip`, `deflate` or `zstd`. Reading a body with any other coding fails
/// with 415.
///
/// The body limit applies to the decompressed size. In addition, a body whose decompressed size is far larger than its
/// compressed size is rejected: a kilobyte can expand to a megabyte.
public struct Decompression: Middleware {
    private let maximumRatio: Int

    /// - Parameter maximumRatio: The maximum number of decompressed bytes per compressed byte. The default is 100. Up to
    ///   64 KiB are always allowed.
    public init(maximumRatio: Int = 100) { self.maximumRatio = maximumRatio }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        guard let field = request.headers[.contentEncoding] else { return await next(request) }
        var request = request
        guard let coding = ContentCoding.parse(field) else {
            // Not an error yet: the middleware of the route, such as authentication and rate limits, comes first.
            request.body = request.body.replaced(by: UnsupportedSource(error: Self.unsupported(field)))
            return await next(request)
        }
        guard let coding else { return await next(request) }
        let source = try DecompressingSource(request.body, coding, maximumRatio: maximumRatio)
        request.body = request.body.replaced(by: source)
        request.headers[.contentEncoding] = nil
        request.headers[.contentLength] = nil
        return await next(request)
    }

    private static func unsupported(_ field: String) -> AppError {
        var error = AppError(
            .invalidArgument, "The Content-Encoding must be gzip, deflate or zstd, not \(field.prefix(64)).",
            reason: .unsupportedMediaType)
        // The supported codings (RFC 9110 §12.5.3).
        error.details.metadata["accept-encoding"] = ContentCoding.allCases.map(\.rawValue).joined(separator: ", ")
        return error
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        if operation.body != nil {
            operation.addErrorResponse(.unsupportedMediaType, "The content coding of the body is not supported.")
        }
    }
}

/// The source of a body that cannot be decompressed.
private final class UnsupportedSource: RequestBodySource {
    private let error: AppError

    init(error: AppError) { self.error = error }

    var length: Int? { nil }
    var trailers: HTTPFields { [:] }

    func next(limit: Int) async throws -> ByteBuffer? { throw error }
}

/// A source that decompresses a body on demand.
///
/// `@unchecked Sendable`: ``ExclusiveAccess`` admits one task at a time and orders its memory accesses before those of the
/// next task; a second task at the same time receives an error.
private final class DecompressingSource: RequestBodySource, @unchecked Sendable {
    /// The maximum number of bytes that are decompressed at once.
    private static let block = 64 << 10

    private let body: RequestBody
    private var iterator: RequestBody.Iterator
    private let decompressor: Decompressor
    private let maximumRatio: Int
    private let access = ExclusiveAccess()
    private var received = 0
    private var produced = 0

    init(_ body: RequestBody, _ coding: ContentCoding, maximumRatio: Int) throws {
        self.body = body
        // The limit of the route may differ from that of the server, and is only known when the body is read.
        var compressed = body
        compressed.limit = .max
        iterator = compressed.makeAsyncIterator()
        decompressor = try Decompressor(coding)
        self.maximumRatio = maximumRatio
    }

    var length: Int? { nil }
    var trailers: HTTPFields { body.trailers }

    /// Returns the maximum compressed size of a body within the limit, since incompressible bytes grow when compressed.
    private static func maximumCompressed(_ limit: Int) -> Int {
        let (sum, overflows) = limit.addingReportingOverflow(limit / 8 + 1024)
        return overflows ? .max : sum
    }

    func next(limit: Int) async throws -> ByteBuffer? {
        try access.begin("read")
        defer { access.end() }
        while true {
            if let bytes = try decompressor.next(atMost: Self.block) {
                produced += bytes.readableBytes
                let (maximum, overflow) = received.multipliedReportingOverflow(by: maximumRatio)
                guard overflow || produced <= max(Self.block, maximum) else {
                    throw AppError(
                        .outOfRange,
                        "The decompressed body is more than \(maximumRatio) times the size of the compressed one.",
                        reason: .bodyTooLarge)
                }
                return bytes
            }
            guard let piece = try await iterator.next() else {
                // An empty body is valid, although it is not a compressed stream.
                if received > 0 { try decompressor.finish() }
                return nil
            }
            received += piece.readableBytes
            guard received <= Self.maximumCompressed(limit) else { throw RequestBody.tooLarge(limit) }
            decompressor.append(piece)
        }
    }
}
