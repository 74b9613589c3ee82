import ApusCore
import HTTPTypes
import NIOCore
import NIOPosix

/// Compresses responses for clients that take it: zstd, gzip or deflate, by `Accept-Encoding`.
///
/// Compressed is what is text, JSON, XML, JavaScript, SVG or WebAssembly, is not compressed already, and is long enough; a
/// body that is made while it is sent, as it is made, each piece at once. A response that sets `Content-Encoding: identity`
/// or `Cache-Control: no-transform` is left alone.
///
/// Do so where a response has a secret (a CSRF token, say) beside text that a client chose: their lengths tell it (the BREACH
/// attack).
public struct Compression: Middleware {
    private let minimumLength: Int
    private let level: Int

    /// Bodies up to this size are compressed on the event loop, in less than a millisecond.
    private static let largestOnLoop = 32 << 10

    /// - Parameters:
    ///   - minimumLength: Bytes of a body at hand that is worth it. 1 KiB.
    ///   - level: 1, the fastest, to 9, the smallest. 6.
    public init(minimumLength: Int = 1024, level: Int = 6) {
        self.minimumLength = minimumLength
        self.level = level
    }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        var response = await next(request)
        guard isCompressible(response) else { return response }
        // Also where this client does not take it: caches must know that it depends on that.
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
        // It names other bytes than these, which mean the same (RFC 9110 §8.8.1), and parts of them are not to be had.
        if let tag = response.headers[.eTag].flatMap({ EntityTag(parsing: $0) }) {
            response.headers[.eTag] = EntityTag(tag.value, isWeak: true).description
        }
        response.headers[.acceptRanges] = nil
        return response
    }

    /// Whether a response is compressed for clients that take it; a 304, whether what it stands for is.
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
            response.headers[.cacheControl]?.asciiLowercased.contains("no-transform") != true,
            let type = (representation?.contentType ?? response.headers[.contentType]).flatMap(MediaType.init)
        else { return false }
        return Self.isText(type)
    }

    private static func isText(_ type: MediaType) -> Bool {
        switch type.type {
        // Each event is to go out by itself, and proxies that decompress hold it back.
        case "text": type.subtype != "event-stream"
        case "application":
            ["json", "javascript", "xml", "wasm", "x-ndjson", "manifest+json"].contains(type.subtype)
                || type.subtype.hasSuffix("+json") || type.subtype.hasSuffix("+xml")
        case "image": type.subtype == "svg+xml"
        default: false
        }
    }

    private func compress(_ bytes: ByteBuffer, _ coding: ContentCoding) async throws -> ByteBuffer {
        guard bytes.readableBytes > Self.largestOnLoop else {
            return try coding.compressor(level: level).compress(bytes, .finish)
        }
        return try await NIOThreadPool.singleton.runIfActive { [level] in
            try coding.compressor(level: level).compress(bytes, .finish)
        }
    }
}

/// Compresses what is written, and lets every piece go out at once.
///
/// `@unchecked Sendable`: ``OneAtATime`` lets one task in, and what it did is seen by the next. Two at the same time would mix
/// their pieces; the second one receives an error.
private final class CompressingWriter: ResponseBodyWriter, @unchecked Sendable {
    private let writer: any ResponseBodyWriter
    private let compressor: any Compressor
    private let door = OneAtATime()

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
        try door.enter("A compressed body is written")
        defer { door.leave() }
        try await writer.write(try compressor.compress(bytes, flush))
    }

    func setTrailers(_ trailers: HTTPFields) { writer.setTrailers(trailers) }

    func onDrain(_ action: @escaping @Sendable () -> Void) { writer.onDrain(action) }
}
