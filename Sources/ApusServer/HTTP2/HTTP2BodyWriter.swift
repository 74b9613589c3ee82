import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import Synchronization

/// Sends a streamed response as it is made.
final class HTTP2BodyWriter: DeferredHeadWriter {
    private let stream: HTTP2Stream
    private let response: Response
    private let length: Int?
    private let count: AnnouncedLength
    private let hasHead = Atomic(false)
    private let trailers = Mutex(HTTPFields())

    init(stream: HTTP2Stream, _ response: Response, length: Int?) {
        self.stream = stream
        self.response = response
        self.length = length
        count = AnnouncedLength(length)
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

    func onDrain(_ action: @escaping @Sendable () -> Void) { stream.onLoop { $0.tellOfDrain(action) } }

    /// Ends the body. On the event loop.
    /// - Throws: When fewer bytes were written than announced.
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
