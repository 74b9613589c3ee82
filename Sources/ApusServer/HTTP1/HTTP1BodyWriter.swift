import ApusHTTP
import HTTPTypes
import NIOCore
import Synchronization

/// Frames a streamed response as it is made.
final class HTTP1BodyWriter: DeferredHeadWriter {
    private let handler: HTTP1Connection
    private let response: Response
    private let framing: ResponseHeadEncoder.Framing
    private let keepAlive: Bool
    private let count: AnnouncedLength
    private let hasHead = Atomic(false)
    private let trailers = Mutex(HTTPFields())

    init(handler: HTTP1Connection, _ response: Response, _ framing: ResponseHeadEncoder.Framing, keepAlive: Bool) {
        self.handler = handler
        self.response = response
        self.framing = framing
        self.keepAlive = keepAlive
        count = if case .length(let length) = framing { AnnouncedLength(length) } else { AnnouncedLength(nil) }
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

    func onDrain(_ action: @escaping @Sendable () -> Void) { handler.onLoop { $0.tellOfDrain(action) } }

    /// Ends the body. On the event loop.
    /// - Throws: When fewer bytes were written than announced.
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
    /// The head of a streamed response.
    fileprivate func writeStreamHead(_ response: Response, _ framing: ResponseHeadEncoder.Framing, keepAlive: Bool) {
        guard channelContext != nil else { return }
        writeHead(response, framing, keepAlive: keepAlive)
        // The first piece may be long in coming, and the client is to know that it will.
        if !isInRead { flushIfNeeded() }
    }

    /// A response whose fields after the body are known: in chunks, the only form that has room for them.
    func writeHeadBytesAndTrailers(_ response: Response, _ trailers: HTTPFields, keepAlive: Bool) {
        writeHead(response, .chunked, keepAlive: keepAlive)
        guard sendsBody(of: response) else { return }
        if let bytes = response.body.buffer, bytes.readableBytes > 0 { writeOut(HTTP1BodyWriter.chunk(bytes)) }
        writeLastChunk(trailers)
    }

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
