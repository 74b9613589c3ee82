import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import NIOHPACK

/// Responses.
extension HTTP2Stream {
    func deliver(_ response: Response) -> Bool {
        guard !isStreamed(response) else { return false }
        if machine.awaitsHandler { respond(response) }
        finish()
        return true
    }

    func stream(_ response: Response) async {
        if machine.awaitsHandler { await deliverStream(response) }
        finish()
    }

    private func isStreamed(_ response: Response) -> Bool {
        if response.upgrade != nil { return true }
        return if case .stream = response.body { !isConnect && sendsBody(of: response) } else { false }
    }

    private func sendsBody(of response: Response) -> Bool { !isHead && !response.hasNoBodyByStatus }

    // MARK: Available bodies

    /// Sends a response whose body is available, unless a response has begun.
    func respond(_ response: Response) {
        if isConnect, response.status.kind == .successful {
            // A successful response would open the tunnel.
            return respond(
                Response(problem: AppError(.unimplemented, "This route does not support extended CONNECT requests.")))
        }
        guard machine.beginResponse(expiry: response.deadline) else { return }
        let body: ByteBuffer
        var length: Int?
        if case .stream(let declaredLength, _) = response.body {
            (body, length) = (ByteBuffer(), declaredLength)
        } else {
            body = response.body.buffer ?? ByteBuffer()
            length = response.hasNoBodyByStatus ? nil : body.readableBytes
        }
        let sendsBody = sendsBody(of: response) && body.readableBytes > 0
        if let trailers = response.trailers, !isHead {
            writeHead(response, contentLength: nil, isEnd: false)
            if sendsBody { connection.send(body, of: self) }
            return end(trailers: trailers)
        }
        writeHead(response, contentLength: length, isEnd: !sendsBody)
        if sendsBody { writeLast(body) } else { endedWithHead() }
    }

    // MARK: Streamed bodies

    private func deliverStream(_ response: Response) async {
        if let upgrade = response.upgrade { return await self.upgrade(response, upgrade) }
        guard case .stream(let length, let produce) = response.body else { return }
        // The body's closure may still read the request.
        sendContinue()
        guard machine.beginResponse(mayPause: response.defersHead, expiry: response.deadline) else {
            return
        }
        let writer = HTTP2BodyWriter(stream: self, response, length: length)
        if !response.defersHead { writer.sendHead([:]) }
        do {
            try await produce(writer)
            try writer.finish()
        } catch {
            connection.core.logAbortedResponse(error)
            reset(.internalError)
        }
    }

    /// Writes the head of a streamed response.
    func writeStreamHead(_ response: Response, contentLength: Int?) {
        guard !machine.isClosed else { return }
        writeHead(response, contentLength: contentLength, isEnd: false)
        // The body may take a while to begin. Until then, the client should at least have the head.
        connection.flushSoon()
    }

    /// Sends a streamed response whose body turned out to be empty.
    func endWithHead(_ response: Response) {
        guard !machine.isClosed else { return }
        writeHead(response, contentLength: nil, isEnd: true)
        endedWithHead()
    }

    func end(trailers: HTTPFields) {
        guard !machine.isClosed else { return }
        guard !trailers.isEmpty else { return writeLast(ByteBuffer()) }
        connection.send(HPACKHeaders(trailers: trailers), of: self, isEnd: true, onSent: onLastSent)
        endedResponse()
    }

    // MARK: Writing

    private func writeHead(_ response: Response, contentLength: Int?, isEnd: Bool) {
        let headers = HPACKHeaders(
            response.status, response.headers, contentLength: contentLength, date: connection.loop.date)
        connection.send(headers, of: self, isEnd: isEnd)
    }

    private func writeLast(_ bytes: ByteBuffer) {
        connection.send(bytes, of: self, isEnd: true, onSent: onLastSent)
        endedResponse()
    }

    private func endedWithHead() {
        machine.deliveredResponse(now: .now())
        endedResponse()
    }

    private var onLastSent: SendQueue.Action? {
        guard !machine.isRemoteEnded else { return nil }
        return { self.machine.deliveredResponse(now: .now()) }
    }

    private func endedResponse() {
        machine.endedResponse(now: connection.now)
        connection.consumed(body?.discard() ?? 0)
        connection.flushSoon()
    }
}
