import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import Synchronization

/// Writes the body of a streamed response to an HTTP/2 stream.
final class HTTP2BodyWriter: DeferredHeadWriter {
    private let stream: HTTP2Stream
    private let response: Response
    private let length: Int?
    private let count: DeclaredLength
    private let hasHead = Atomic(false)
    private let trailers = Mutex(HTTPFields())

    init(stream: HTTP2Stream, _ response: Response, length: Int?) {
        self.stream = stream
        self.response = response
        self.length = length
        count = DeclaredLength(length)
    }

    func sendHead(_ fields: HTTPFields) {
        guard !hasHead.exchange(true, ordering: .relaxed) else { return }
        stream.onLoop { $0.writeStreamHead(self.response.adding(fields), contentLength: self.length) }
    }

    func write(_ bytes: ByteBuffer) async throws {
        try count.add(bytes.readableBytes)
        sendHead([:])
        try await stream.send(bytes)
    }

    func setTrailers(_ trailers: HTTPFields) { self.trailers.withLock { $0 = trailers } }

    func onDrain(_ action: @escaping @Sendable () -> Void) { stream.onLoop { $0.onDrain(action) } }

    /// Ends the body. Must be called on the event loop.
    /// - Throws: An `AppError` if fewer bytes were written than declared.
    func finish() throws {
        try count.finish()
        let trailers = trailers.withLock { $0 }
        if hasHead.load(ordering: .relaxed) {
            stream.end(trailers: trailers)
        } else {
            stream.endWithHead(response.adding(trailers))
        }
    }
}
