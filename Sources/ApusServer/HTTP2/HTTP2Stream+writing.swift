import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import NIOHPACK

/// The bytes of streamed responses and upgraded streams.
extension HTTP2Stream {
    /// Sends bytes, and waits while the client does not keep up. May be called from any thread.
    func send(_ bytes: ByteBuffer) async throws {
        let writer = WaitingWriter()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                onLoop { $0.send(bytes, writer, continuation) }
            }
        } onCancel: {
            onLoop { $0.writers.cancel(writer) }
        }
    }

    private func send(
        _ bytes: ByteBuffer, _ writer: WaitingWriter, _ continuation: CheckedContinuation<Void, any Error>
    ) {
        guard machine.acceptsBytes else { return continuation.resume(throwing: AppError.connectionClosed) }
        guard bytes.readableBytes > 0 else { return continuation.resume() }
        let cost = bytes.readableBytes + Self.pieceOverhead
        machine.queued(cost)
        connection.send(bytes, of: self) { self.sent(cost) }
        connection.flushSoon()
        // The flush may have closed the connection.
        guard !machine.isClosed else { return continuation.resume(throwing: AppError.connectionClosed) }
        if machine.isFull(limits) {
            writers.wait(writer, continuation)
        } else {
            writers.resume(writer, continuation, after: bytes.readableBytes, on: connection.loop.eventLoop)
        }
    }

    /// The memory overhead of a piece, in bytes.
    private static let pieceOverhead = 256

    private func sent(_ bytes: Int) {
        machine.sent(bytes, now: .now())
        if !machine.isFull(limits) { writers.resumeAll() }
    }

    /// Switches the stream to another protocol, as HTTP/1.1 does with a whole connection (RFC 8441).
    func upgrade(_ response: Response, _ upgrade: Upgrade) async {
        machine.upgrade()
        let headers = HPACKHeaders(.ok, response.headers, contentLength: nil, date: connection.loop.date)
        connection.send(headers, of: self)
        connection.flushSoon()
        guard let body else { return end(trailers: [:]) }
        let stream = HTTP2ByteStream(stream: self, inbound: body)
        upgraded = stream
        if connection.core.isDraining { stream.drain() }
        await upgrade.run(stream)
        stream.finish()
        upgraded = nil
        if machine.acceptsBytes { end(trailers: [:]) }
    }
}
