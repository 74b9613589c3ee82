import ApusHTTP
import HTTPTypes
import NIOCore

// What goes out. A write is flushed when the read that caused it has ended, or at once outside of one.

extension ConnectionHandler {
    func writeHeadAndBytes(_ response: Response, keepAlive: Bool) {
        let bytes: ByteBuffer?
        let length: Int?
        switch response.body {
        case .empty: (bytes, length) = (nil, 0)
        case .bytes(let buffer): (bytes, length) = (buffer, buffer.readableBytes)
        case .stream(let announced, _): (bytes, length) = (nil, announced)
        }
        writeHead(
            response, response.hasNoBodyByStatus ? .none : length.map { .length($0) } ?? .none, keepAlive: keepAlive,
            body: bytes)
    }

    func writeHead(
        _ response: Response, _ framing: ResponseHeadEncoder.Framing, keepAlive: Bool, body: ByteBuffer? = nil
    ) {
        let sendsBody = body != nil && !isHead && framing != .none
        let bodyBytes = sendsBody ? body?.readableBytes ?? 0 : 0
        // A small body goes with its head in one piece; a large one is not worth the copy.
        let joins = bodyBytes <= 4096
        var head = allocate(512 + (joins ? bodyBytes : 0))
        ResponseHeadEncoder.encode(
            status: response.status, headers: response.headers, framing: framing, keepAlive: keepAlive,
            isVersion10: isVersion10, date: loop.date(), into: &head)
        if sendsBody, joins, let body { head.writeImmutableBuffer(body) }
        writeOut(head)
        if sendsBody, !joins, let body { writeOut(body) }
    }

    func allocate(_ capacity: Int) -> ByteBuffer {
        channelContext?.channel.allocator.buffer(capacity: capacity) ?? ByteBuffer()
    }

    func writeOut(_ bytes: ByteBuffer) {
        hasUnflushedBytes = true
        writtenBytes += bytes.readableBytes
        channelContext?.write(wrapOutboundOut(bytes), promise: nil)
    }

    func flushIfNeeded() {
        guard hasUnflushedBytes else { return }
        hasUnflushedBytes = false
        channelContext?.flush()
    }

    /// How many bytes the channel has not got rid of.
    var pendingBytes: Int {
        (try? channelContext?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// Writes, flushes, and waits while the peer does not keep up. From any thread.
    func send(_ bytes: ByteBuffer) async throws {
        let writer = WaitingWriter()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                onLoop { $0.send(bytes, writer, continuation) }
            }
        } onCancel: {
            onLoop { $0.cancel(writer) }
        }
    }

    private func send(
        _ bytes: ByteBuffer, _ writer: WaitingWriter, _ continuation: CheckedContinuation<Void, any Error>
    ) {
        guard let channelContext, channelContext.channel.isActive else {
            return continuation.resume(throwing: Self.connectionClosed)
        }
        writeOut(bytes)
        if !isInRead { flushIfNeeded() }
        guard !channelContext.channel.isWritable else { return continuation.resume() }
        // An unflushed write would never make the channel writable again.
        flushIfNeeded()
        if channelContext.channel.isWritable { return continuation.resume() }
        if writer.isCancelled { return continuation.resume(throwing: CancellationError()) }
        writer.continuation = continuation
        waitingWriters[ObjectIdentifier(writer)] = writer
    }

    private func cancel(_ writer: WaitingWriter) {
        writer.isCancelled = true
        waitingWriters.removeValue(forKey: ObjectIdentifier(writer))?.continuation?.resume(
            throwing: CancellationError())
    }

    func resumeWriters(throwing error: (any Error)?) {
        let writers = waitingWriters.values
        waitingWriters = [:]
        for writer in writers {
            if let error { writer.continuation?.resume(throwing: error) } else { writer.continuation?.resume() }
        }
    }
}

/// A task that waits until the peer has caught up.
///
/// `@unchecked Sendable`: the properties are touched on the connection's event loop alone.
final class WaitingWriter: @unchecked Sendable {
    var continuation: CheckedContinuation<Void, any Error>?
    var isCancelled = false
}

extension Response {
    /// Whether the status says that there is no body, whatever the handler gave (RFC 9110 §6.4.1).
    var hasNoBodyByStatus: Bool { status.code == 204 || status.code == 304 }
}
