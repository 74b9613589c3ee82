import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import Synchronization

/// Sends a streamed response as it is made.
final class HTTP2BodyWriter: ResponseBodyWriter {
    private let stream: HTTP2Stream
    private let count: AnnouncedLength
    private let trailers = Mutex(HTTPFields())

    init(stream: HTTP2Stream, length: Int?) {
        self.stream = stream
        count = AnnouncedLength(length)
    }

    func write(_ bytes: ByteBuffer) async throws {
        try count.add(bytes.readableBytes)
        try await stream.send(bytes)
    }

    func setTrailers(_ trailers: HTTPFields) { self.trailers.withLock { $0 = trailers } }

    func onDrain(_ action: @escaping @Sendable () -> Void) { stream.onLoop { $0.tellOfDrain(action) } }

    var currentTrailers: HTTPFields { trailers.withLock { $0 } }

    /// Ends the body.
    /// - Throws: When fewer bytes were written than announced.
    func finish() throws { try count.finish() }
}
