import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore

// Responses whose body is produced while it is sent.

extension HTTP1Connection {
    func stream(_ response: Response) async {
        let number = exchange.number
        if channelContext != nil { await deliverStream(response) }
        finish(number)
    }

    private func deliverStream(_ response: Response) async {
        if exchange.needsContinue {
            // The producer may still read the body, and 100 Continue cannot be sent after the head.
            writeContinue()
            machine.bodyWanted(true)
        }
        guard let keepAlive = machine.beginResponse(isStreamed: true, expiry: response.deadline) else {
            return
        }
        if let upgrade = response.upgrade { return await self.upgrade(response, upgrade) }
        guard case .stream(let length, let produce) = response.body else { return }
        let isVersion10 = exchange.form.isVersion10
        let staysOpen = keepAlive && (length != nil || !isVersion10)
        let framing = length.map(ResponseHeadEncoder.Framing.length) ?? (isVersion10 ? .close : .chunked)
        let writer = HTTP1BodyWriter(handler: self, response, framing, keepAlive: staysOpen)
        if !response.defersHead { writer.sendHead([:]) }
        do {
            try await produce(writer)
            try writer.finish()
            endResponse(keepAlive: staysOpen)
        } catch {
            // The head has been sent, so only closing the connection can signal that the body is incomplete.
            core.logAbortedResponse(error)
            closeAfterFlush()
        }
    }

    /// Writes the head of a streamed response.
    func writeStreamHead(_ response: Response, _ framing: ResponseHeadEncoder.Framing, keepAlive: Bool) {
        guard channelContext != nil else { return }
        output.writeHead(of: response, framing, exchange.form, keepAlive: keepAlive)
        // The body may take a while to begin. Until then, the client should at least have the head.
        if !isInRead { output.flush() }
    }

    /// Registers the action of a streamed response for the shutdown of the server.
    func onDrain(_ action: @escaping @Sendable () -> Void) {
        if core.isDraining { action() } else { exchange.drainAction = action }
    }

    // MARK: Backpressure

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
            return continuation.resume(throwing: AppError.connectionClosed)
        }
        output.write(bytes)
        if !isInRead { output.flush() }
        // Without a flush, the channel would never become writable again.
        if !channelContext.channel.isWritable { output.flush() }
        if channelContext.channel.isWritable {
            waitingWriters.resume(writer, continuation, after: bytes.readableBytes, on: loop.eventLoop)
        } else {
            waitingWriters.wait(writer, continuation)
        }
    }
}
