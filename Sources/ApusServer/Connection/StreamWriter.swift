import ApusCore
import ApusHTTP
import NIOCore
import Synchronization

/// Frames a streamed response as it is made.
final class StreamWriter: ResponseBodyWriter {
    private let handler: ConnectionHandler
    private let isChunked: Bool
    private let remaining: Mutex<Int?>
    private let isFinished = Mutex(false)

    init(handler: ConnectionHandler, length: Int?, isChunked: Bool) {
        self.handler = handler
        self.isChunked = isChunked
        remaining = Mutex(length)
    }

    func write(_ bytes: ByteBuffer) async throws {
        guard !isFinished.withLock({ $0 }) else {
            throw AppError(.internal, "The response is over; nothing more can be written to it.")
        }
        guard bytes.readableBytes > 0 else { return }
        try count(bytes.readableBytes)
        try await handler.send(isChunked ? Self.chunk(bytes) : bytes)
    }

    /// Ends the body. On the event loop.
    /// - Throws: When fewer bytes were written than announced.
    func finish() throws {
        isFinished.withLock { $0 = true }
        if let left = remaining.withLock({ $0 }), left > 0 {
            throw AppError(.internal, "The response's body is \(left) bytes shorter than announced.")
        }
        if isChunked { handler.writeLastChunk() }
    }

    private func count(_ bytes: Int) throws {
        try remaining.withLock { remaining in
            guard let left = remaining else { return }
            guard bytes <= left else { throw AppError(.internal, "The response's body is longer than announced.") }
            remaining = left - bytes
        }
    }

    private static func chunk(_ bytes: ByteBuffer) -> ByteBuffer {
        var chunk = ByteBuffer(string: String(bytes.readableBytes, radix: 16))
        chunk.writeStaticString("\r\n")
        chunk.writeImmutableBuffer(bytes)
        chunk.writeStaticString("\r\n")
        return chunk
    }
}

extension ConnectionHandler {
    fileprivate func writeLastChunk() { writeOut(ByteBuffer(string: "0\r\n\r\n")) }
}
