import ApusHTTP
import HTTPTypes
import NIOCore
import Synchronization

/// Writes the body of a streamed response to an HTTP/1.1 connection.
final class HTTP1BodyWriter: DeferredHeadWriter {
    private let handler: HTTP1Connection
    private let response: Response
    private let framing: ResponseHeadEncoder.Framing
    private let keepAlive: Bool
    private let count: DeclaredLength
    private let hasHead = Atomic(false)
    private let trailers = Mutex(HTTPFields())

    init(handler: HTTP1Connection, _ response: Response, _ framing: ResponseHeadEncoder.Framing, keepAlive: Bool) {
        self.handler = handler
        self.response = response
        self.framing = framing
        self.keepAlive = keepAlive
        count = if case .length(let length) = framing { DeclaredLength(length) } else { DeclaredLength(nil) }
    }

    private var isChunked: Bool { framing == .chunked }

    func sendHead(_ fields: HTTPFields) {
        guard !hasHead.exchange(true, ordering: .relaxed) else { return }
        handler.onLoop { $0.writeStreamHead(self.response.adding(fields), self.framing, keepAlive: self.keepAlive) }
    }

    func write(_ bytes: ByteBuffer) async throws {
        try count.add(bytes.readableBytes)
        guard bytes.readableBytes > 0 else { return }
        sendHead([:])
        try await handler.send(isChunked ? Self.chunk(bytes) : bytes)
    }

    func setTrailers(_ trailers: HTTPFields) { self.trailers.withLock { $0 = trailers } }

    func onDrain(_ action: @escaping @Sendable () -> Void) { handler.onLoop { $0.onDrain(action) } }

    /// Ends the body. Must be called on the event loop.
    /// - Throws: An `AppError` if fewer bytes were written than declared.
    func finish() throws {
        try count.finish()
        let trailers = trailers.withLock { $0 }
        guard hasHead.load(ordering: .relaxed) else {
            return handler.writeStreamHead(response.adding(trailers), .length(0), keepAlive: keepAlive)
        }
        if isChunked { handler.writeLastChunk(trailers) }
    }

    fileprivate static func chunk(_ bytes: ByteBuffer) -> ByteBuffer {
        var chunk = ByteBuffer(string: String(bytes.readableBytes, radix: 16))
        chunk.writeStaticString("\r\n")
        chunk.writeImmutableBuffer(bytes)
        chunk.writeStaticString("\r\n")
        return chunk
    }
}

extension HTTP1Connection {
    /// Writes the head of a streamed response.
    fileprivate func writeStreamHead(_ response: Response, _ framing: ResponseHeadEncoder.Framing, keepAlive: Bool) {
        guard channelContext != nil else { return }
        writeHead(response, framing, keepAlive: keepAlive)
        // The body may take a while to begin. Until then, the client should at least have the head.
        if !isInRead { flushIfNeeded() }
    }

    /// Writes a response with trailers. Its body is chunked, because no other framing allows trailers.
    func writeHeadBytesAndTrailers(_ response: Response, _ trailers: HTTPFields, keepAlive: Bool) {
        writeHead(response, .chunked, keepAlive: keepAlive)
        guard sendsBody(of: response) else { return }
        if let bytes = response.body.buffer, bytes.readableBytes > 0 { writeOut(HTTP1BodyWriter.chunk(bytes)) }
        writeLastChunk(trailers)
    }

    /// Writes the last chunk, which is empty, and the trailers. Fields that are not allowed in trailers are omitted.
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
    /// Whether the field may occur in trailers. Fields about framing, routing or the connection may not (RFC 9110
    /// §6.5.1).
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
