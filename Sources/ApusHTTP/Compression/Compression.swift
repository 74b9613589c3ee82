import ApusCore
import HTTPTypes
import NIOCore
import NIOPosix

/// Compresses responses with zstd, gzip or deflate, as negotiated by `Accept-Encoding`.
///
/// A body is compressed if it is text, JSON, XML, JavaScript, SVG or WebAssembly, is not compressed already, and is large
/// enough. A streamed body is compressed while it is produced, and each piece is flushed immediately. A response with a
/// `Content-Encoding` field, such as `identity`, or with `Cache-Control: no-transform` is not changed.
///
/// Set `Cache-Control: no-transform` (RFC 9111 §5.2.2.6) on a response that contains a secret, such as a CSRF token, next
/// to text chosen by the client: otherwise the length of the compressed body can reveal the secret (the BREACH attack).
/// Unlike `Content-Encoding: identity`, it also forbids proxies to compress the body.
public struct Compression: Middleware {
    private let minimumLength: Int
    private let level: Int

    /// The maximum size of a body that is compressed on the event loop, in bytes. Compressing it takes less than a
    /// millisecond.
    private static let maximumLengthOnLoop = 32 << 10

    /// - Parameters:
    ///   - minimumLength: The minimum size of a body of known length, in bytes. The default is 1 KiB.
    ///   - level: The compression level, from 1, the fastest, to 9, the smallest. The default is 6.
    public init(minimumLength: Int = 1024, level: Int = 6) {
        self.minimumLength = minimumLength
        self.level = level
    }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        var response = await next(request)
        guard isCompressible(response) else { return response }
        // Set even if this client does not accept compression: caches must know that the response depends on the field.
        response.addVary("Accept-Encoding")
        guard let coding = ContentCoding.preferred(by: request.headers[.acceptEncoding]) else { return response }
        switch response.body {
        case .empty: break
        case .stream(_, let produce):
            response.body = .stream { writer in
                let compressing = CompressingWriter(writer, try coding.compressor(level: level))
                try await produce(compressing)
                try await compressing.finish()
            }
        case .bytes, .text:
            guard let bytes = response.body.buffer else { return response }
            response.body = .bytes(try await compress(bytes, coding))
        }
        if response.notModified == nil { response.headers[.contentEncoding] = coding.rawValue }
        // The tag was made for the uncompressed bytes, so it can only be weak (RFC 9110 §8.8.1), and ranges of the
        // compressed bytes are not available.
        if let tag = response.headers[.eTag].flatMap({ EntityTag(parsing: $0) }) {
            response.headers[.eTag] = EntityTag(tag.value, isWeak: true).description
        }
        response.headers[.acceptRanges] = nil
        return response
    }

    /// Returns whether a response may be compressed. For a 304, that is whether the representation may be.
    private func isCompressible(_ response: Response) -> Bool {
        let representation = response.notModified
        switch response.body {
        case .empty: guard let representation, representation.length >= minimumLength else { return false }
        case .bytes(let bytes): guard bytes.readableBytes >= minimumLength else { return false }
        case .text(let text): guard text.utf8.count >= minimumLength else { return false }
        case .stream(let length, _): guard length.map({ $0 >= minimumLength }) ?? true else { return false }
        }
        switch response.status.code {
        case 204, 206: return false
        default: break
        }
        guard response.upgrade == nil, response.headers[.contentEncoding] == nil,
            !FieldList.elements(response.headers[.cacheControl] ?? "").contains(where: {
                $0.asciiLowercased == "no-transform"
            }),
            let type = (representation?.contentType ?? response.headers[.contentType]).flatMap(MediaType.init)
        else { return false }
        return Self.isText(type)
    }

    private static func isText(_ type: MediaType) -> Bool {
        switch type.type {
        // Each event must be delivered on its own, and decompressing proxies would buffer it.
        case "text": type.subtype != "event-stream"
        case "application":
            ["json", "javascript", "xml", "wasm", "x-ndjson", "manifest+json"].contains(type.subtype)
                || type.subtype.ends(withBytesOf: "+json") || type.subtype.ends(withBytesOf: "+xml")
        case "image": type.subtype == "svg+xml"
        default: false
        }
    }

    private func compress(_ bytes: ByteBuffer, _ coding: ContentCoding) async throws -> ByteBuffer {
        guard bytes.readableBytes > Self.maximumLengthOnLoop else {
            return try coding.compressor(level: level).compress(bytes, .finish)
        }
        return try await NIOThreadPool.singleton.runIfActive { [level] in
            try coding.compressor(level: level).compress(bytes, .finish)
        }
    }
}

/// A body writer that compresses each piece and flushes it immediately.
///
/// `@unchecked Sendable`: ``ExclusiveAccess`` admits one task at a time and orders its memory accesses before those of the
/// next task. Two tasks at the same time would mix their pieces, so the second one receives an error.
private final class CompressingWriter: ResponseBodyWriter, @unchecked Sendable {
    private let writer: any ResponseBodyWriter
    private let compressor: any Compressor
    private let access = ExclusiveAccess()

    init(_ writer: any ResponseBodyWriter, _ compressor: any Compressor) {
        self.writer = writer
        self.compressor = compressor
    }

    func write(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        try await write(bytes, .sync)
    }

    func finish() async throws { try await write(ByteBuffer(), .finish) }

    private func write(_ bytes: ByteBuffer, _ flush: CompressorFlush) async throws {
        try access.begin("written")
        defer { access.end() }
        try await writer.write(try compressor.compress(bytes, flush))
    }

    func setTrailers(_ trailers: HTTPFields) { writer.setTrailers(trailers) }

    func onDrain(_ action: @escaping @Sendable () -> Void) { writer.onDrain(action) }
}
