import ApusHTTP
import HTTPTypes
import NIOCore

// What goes out. A write is flushed when the read that caused it has ended, or at once outside of one.

extension ConnectionHandler {
    func writeHeadAndBytes(_ response: Response, keepAlive: Bool) {
        let hasNoBody = response.status.code == 204 || response.status.code == 304
        let bytes: ByteBuffer?
        let length: Int?
        switch response.body {
        case .empty: (bytes, length) = (nil, 0)
        case .bytes(let buffer): (bytes, length) = (buffer, buffer.readableBytes)
        case .stream(let announced, _): (bytes, length) = (nil, announced)
        }
        writeHead(response, hasNoBody ? .none : length.map { .length($0) } ?? .none, keepAlive: keepAlive, body: bytes)
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
        channelContext?.write(wrapOutboundOut(bytes), promise: nil)
    }

    func flushIfNeeded() {
        guard hasUnflushedBytes else { return }
        hasUnflushedBytes = false
        channelContext?.flush()
    }

    /// Writes, flushes, and waits while the peer does not keep up. From any thread.
    func send(_ bytes: ByteBuffer) async throws {
        try Task.checkCancellation()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                onLoop { $0.send(bytes, continuation) }
            }
        } onCancel: {
            onLoop { $0.resumeWriters(throwing: CancellationError()) }
        }
    }

    private func send(_ bytes: ByteBuffer, _ continuation: CheckedContinuation<Void, any Error>) {
        guard let channelContext, channelContext.channel.isActive else {
            return continuation.resume(throwing: Self.connectionClosed)
        }
        writeOut(bytes)
        if !isInRead { flushIfNeeded() }
        if channelContext.channel.isWritable {
            continuation.resume()
        } else {
            // An unflushed write would never make the channel writable again.
            flushIfNeeded()
            if channelContext.channel.isWritable { continuation.resume() } else { waitingWriters.append(continuation) }
        }
    }

    func resumeWriters(throwing error: (any Error)?) {
        let writers = waitingWriters
        waitingWriters = []
        for writer in writers {
            if let error { writer.resume(throwing: error) } else { writer.resume() }
        }
    }
}
