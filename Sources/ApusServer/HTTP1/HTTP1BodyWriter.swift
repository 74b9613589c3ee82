import ApusHTTP
import HTTPTypes
import NIOCore
import Synchronization

/// Frames a streamed response as it is made.
final class HTTP1BodyWriter: ResponseBodyWriter {
    private let handler: HTTP1Connection
    private let isChunked: Bool
    private let count: AnnouncedLength
    private let trailers = Mutex(HTTPFields())

    init(handler: HTTP1Connection, length: Int?, isChunked: Bool) {
        self.handler = handler
        self.isChunked = isChunked
        count = AnnouncedLength(length)
    }

    func write(_ bytes: ByteBuffer) async throws {
        try count.add(bytes.readableBytes)
        guard bytes.readableBytes > 0 else { return }
        try await handler.send(isChunked ? Self.chunk(bytes) : bytes)
    }

    func setTrailers(_ trailers: HTTPFields) { self.trailers.withLock { $0 = trailers } }

    func onDrain(_ action: @escaping @Sendable () -> Void) { handler.onLoop { $0.tellOfDrain(action) } }

    /// Ends the body. On the event loop.
    /// - Throws: When fewer bytes were written than announced.
    func finish() throws {
        try count.finish()
        if isChunked { handler.writeLastChunk(trailers.withLock { $0 }) }
    }

    private static func chunk(_ bytes: ByteBuffer) -> ByteBuffer {
        var chunk = ByteBuffer(string: String(bytes.readableBytes, radix: 16))
        chunk.writeStaticString("\r\n")
        chunk.writeImmutableBuffer(bytes)
        chunk.writeStaticString("\r\n")
        return chunk
    }
}

extension HTTP1Connection {
    /// The last chunk, which is empty, and the fields behind it. Those that would change the message are left out.
    fileprivate func writeLastChunk(_ trailers: HTTPFields) {
        var end = ByteBuffer(string: "0\r\n")
        for field in trailers where field.name.isAllowedInTrailers {
            end.writeString("\(field.name.rawName): \(field.value)\r\n")
        }
        end.writeStaticString("\r\n")
        writeOut(end)
    }
}

extension HTTPField.Name {
    /// Fields about the framing, the routing or the connection must not come after the body (RFC 9110 §6.5.1).
    var isAllowedInTrailers: Bool {
        switch canonicalName {
        case "transfer-encoding", "content-length", "content-encoding", "content-type", "content-range", "host",
            "trailer",
            "connection", "keep-alive", "upgrade", "te", "authorization", "set-cookie", "cache-control":
            false
        default: true
        }
    }
}
