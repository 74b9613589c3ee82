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
        try await handler.send(isChunked ? HTTP1Output.chunk(bytes) : bytes)
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
        if isChunked { handler.output.writeLastChunk(trailers) }
    }
}
