import ApusHTTP
import HTTPTypes
import NIOCore

// What goes out. Small writes are gathered in one buffer of the loop's; it goes out when the read that caused them has
// ended, or at once outside of one.

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
            // A small text goes with its head in one piece; a large one is not worth the copy.
            if text.utf8.count > Self.largestCopy { return writeOut(ByteBuffer(string: text)) }
            text.withUTF8 { writeSmall(UnsafeRawBufferPointer($0)) }
        case .stream(let announced, _):
            writeHead(response, announced.map { .length($0) } ?? .none, keepAlive: keepAlive)
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

    /// Bodies up to this size are copied behind their head, so that one write takes both.
    private static var largestCopy: Int { 4096 }

    func writeOut(_ bytes: ByteBuffer) {
        if bytes.readableBytes <= Self.largestCopy {
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

    /// Gives what was gathered to the channel, in its place before what follows.
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
            if sendDirectly(&bytes) { return loop.giveBack(bytes) }
            hasUnflushedBytes = false
            channelMayHoldBytes = true
            channelContext?.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
            loop.giveBack(bytes)
        } else if hasUnflushedBytes {
            hasUnflushedBytes = false
            channelMayHoldBytes = true
            channelContext?.flush()
        }
    }

    /// - Parameter bytes: What is left of them afterwards is the channel's to send.
    /// - Returns: Whether all of it was sent.
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

    /// How many bytes the channel has not got rid of.
    var pendingBytes: Int {
        output.readableBytes + queuedBytes
    }

    /// Writes, flushes, and waits while the peer does not keep up. From any thread.
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
        // An unflushed write would never make the channel writable again.
        if !channelContext.channel.isWritable { flushIfNeeded() }
        if channelContext.channel.isWritable {
            waitingWriters.goOn(writer, continuation, after: bytes.readableBytes, on: loop.eventLoop)
        } else {
            waitingWriters.wait(writer, continuation)
        }
    }
}

extension Response {
    /// Whether the status says that there is no body, whatever the handler gave (RFC 9110 §6.4.1).
    var hasNoBodyByStatus: Bool { status.code == 204 || status.code == 304 }
}
