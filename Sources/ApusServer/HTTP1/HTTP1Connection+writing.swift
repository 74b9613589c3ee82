import ApusHTTP
import HTTPTypes
import NIOCore

// Output. Small writes are collected in a buffer of the event loop. It is flushed at the end of the read that caused
// them, or immediately outside of a read.

extension HTTP1Connection {
    func writeHeadAndBytes(_ response: Response, keepAlive: Bool) {
        switch response.body {
        case .empty: writeHead(response, .length(0), keepAlive: keepAlive)
        case .bytes(let bytes):
            writeHead(response, .length(bytes.readableBytes), keepAlive: keepAlive)
            if sendsBody(of: response) { writeOut(bytes) }
        case .text(var text):
            writeHead(response, .length(text.utf8.count), keepAlive: keepAlive)
            guard sendsBody(of: response) else { return }
            // A small text is sent together with its head; a large one is not worth copying.
            if text.utf8.count > Self.maximumCopySize { return writeOut(ByteBuffer(string: text)) }
            text.withUTF8 { writeSmall(UnsafeRawBufferPointer($0)) }
        case .stream(let declaredLength, _):
            writeHead(response, declaredLength.map { .length($0) } ?? .none, keepAlive: keepAlive)
        }
    }

    func sendsBody(of response: Response) -> Bool { !isHead && !response.hasNoBodyByStatus }

    func writeHead(_ response: Response, _ framing: ResponseHeadEncoder.Framing, keepAlive: Bool) {
        takeOutput()
        let before = output.readableBytes
        ResponseHeadEncoder.encode(
            status: response.status, headers: response.headers,
            framing: response.hasNoBodyByStatus ? .none : framing, keepAlive: keepAlive, isVersion10: isVersion10,
            dateLine: loop.dateLine, into: &output)
        writtenBytes += output.readableBytes - before
    }

    /// The maximum size of bodies that are copied behind their head, so that one write sends both.
    private static var maximumCopySize: Int { 4096 }

    func writeOut(_ bytes: ByteBuffer) {
        if bytes.readableBytes <= Self.maximumCopySize {
            return bytes.withUnsafeReadableBytes { writeSmall($0) }
        }
        handOverOutput()
        hasUnflushedBytes = true
        writtenBytes += bytes.readableBytes
        channelContext?.write(wrapOutboundOut(bytes), promise: nil)
    }

    func writeSmall(_ bytes: UnsafeRawBufferPointer) {
        takeOutput()
        writtenBytes += output.writeBytes(bytes)
    }

    private func takeOutput() {
        guard !hasOutput else { return }
        hasOutput = true
        output = loop.takeBuffer()
    }

    /// Passes the collected output to the channel, ahead of the bytes that follow.
    private func handOverOutput() {
        guard hasOutput else { return }
        hasOutput = false
        let bytes = output
        output = ByteBuffer()
        hasUnflushedBytes = true
        channelContext?.write(wrapOutboundOut(bytes), promise: nil)
    }

    func flushIfNeeded() {
        if hasOutput {
            hasOutput = false
            var bytes = output
            output = ByteBuffer()
            if sendDirectly(&bytes) { return loop.recycle(bytes) }
            hasUnflushedBytes = false
            channelMayHoldBytes = true
            channelContext?.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
            loop.recycle(bytes)
        } else if hasUnflushedBytes {
            hasUnflushedBytes = false
            channelMayHoldBytes = true
            channelContext?.flush()
        }
    }

    /// Sends bytes directly to the socket, if nothing is queued ahead of them.
    /// - Parameter bytes: The bytes. Those that remain must be sent through the channel.
    /// - Returns: Whether all bytes were sent.
    private func sendDirectly(_ bytes: inout ByteBuffer) -> Bool {
        guard let socket, !hasUnflushedBytes, let channel = channelContext?.channel, channel.isActive else {
            return false
        }
        if channelMayHoldBytes {
            guard queuedBytes == 0 else { return false }
            channelMayHoldBytes = false
        }
        bytes.moveReaderIndex(forwardBy: socket.send(bytes))
        return bytes.readableBytes == 0
    }

    private var queuedBytes: Int {
        (try? channelContext?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// The number of bytes that have been written but not sent.
    var pendingBytes: Int {
        output.readableBytes + queuedBytes
    }

    /// Writes and flushes bytes, and waits while the peer does not keep up. May be called from any thread.
    func send(_ bytes: ByteBuffer) async throws {
        let writer = WaitingWriter()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                onLoop { $0.send(bytes, writer, continuation) }
            }
        } onCancel: {
            onLoop { $0.waitingWriters.cancel(writer) }
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
        // Without a flush, the channel would never become writable again.
        if !channelContext.channel.isWritable { flushIfNeeded() }
        if channelContext.channel.isWritable {
            waitingWriters.resume(writer, continuation, after: bytes.readableBytes, on: loop.eventLoop)
        } else {
            waitingWriters.wait(writer, continuation)
        }
    }
}

extension Response {
    /// Whether the status precludes a body, whatever the handler returned (RFC 9110 §6.4.1).
    var hasNoBodyByStatus: Bool { status.code == 204 || status.code == 304 }
}
