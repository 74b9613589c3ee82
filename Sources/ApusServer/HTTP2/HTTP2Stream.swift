import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import NIOHPACK

/// A request and its response on an HTTP/2 connection.
///
/// `@unchecked Sendable`: every stored property is accessed only on the connection's event loop.
final class HTTP2Stream: RequestWorker.Owner, @unchecked Sendable {
    let id: UInt32
    private let connection: HTTP2Connection
    private var clock: ExchangeClock
    private var worker: RequestWorker?
    private var isAnswered = false
    private var body: InboundStream?
    /// The head of a request whose body may arrive completely within the current read, and what has arrived of the
    /// body.
    private var pendingHead: HTTP2RequestHead?
    private var earlyBody = ByteBuffer()
    private var upgraded: HTTP2ByteStream?
    private var isHead = false
    private var isConnect = false
    private var hasFailedBody = false
    /// Whether the client waits for 100 before it sends the body.
    private var needsContinue = false
    /// Whether the client may pause while it sends the body, because request and response are streamed at the same
    /// time.
    private var mayPause = false
    private var hasResponse = false
    /// Whether bytes of the response's body have been written.
    var hasSentBytes = false
    /// Whether the stream was reset because its request is malformed.
    private(set) var isMalformed = false
    private var isAbandoned = false
    /// Whether the client has ended its side of the stream.
    private(set) var isRemoteEnded = false
    /// Whether the whole response has been passed to the connection, sent or not.
    private var isLocalEnded = false
    private(set) var isClosed = false
    /// The output that waits for the client's window.
    @exclusivity(unchecked) var sending: SendQueue
    /// Whether the last frame of the response has been written.
    var hasSentEnd = false
    /// When the response was sent completely, if the request was still incomplete. The client is told that the rest is
    /// not needed (RFC 9113 §8.1), but not immediately: some clients discard a response if a reset arrives with it.
    private var answeredEarly: NIODeadline?
    /// The action of a streamed response when the server begins to shut down.
    private var drainAction: (@Sendable () -> Void)?
    /// How many bytes the client may still send on this stream.
    private(set) var window: Int
    private var consumedBytes = 0
    /// How many bytes of the body are missing, if its length was declared.
    private var missingBytes: Int?
    /// The cost of the pieces that have been written but not sent, and the time at which the client last made progress.
    private var unsentBytes = 0
    private var progress: NIODeadline
    private var writers = WaitingWriters()

    private static let lingerTime = TimeAmount.seconds(1)
    private static let maximumEarlyBytes = 64 << 10

    init(_ id: UInt32, connection: HTTP2Connection, sendWindow: Int) {
        self.id = id
        self.connection = connection
        sending = SendQueue(window: sendWindow)
        let now = connection.now
        clock = ExchangeClock(now: now)
        progress = now
        window = connection.core.limits.bufferedBytes
    }

    /// Whether the response has been sent, at least in part.
    var wasAnswered: Bool { isLocalEnded || hasSentBytes }

    private var limits: ServerLimits { connection.core.limits }

    // MARK: Receiving

    /// Starts the stream with the header of its request.
    /// - Returns: Whether the request waits for its body. Then ``startPending()`` follows at the end of the read.
    func start(_ headers: HPACKHeaders, isEnd: Bool) -> Bool {
        isRemoteEnded = isEnd
        let head: HTTP2RequestHead
        do {
            head = try HTTP2RequestHead(headers, limits: limits, &connection.loop.fieldTable)
        } catch {
            switch error {
            case .malformed: resetMalformed()
            case .refused(let error, let status):
                var response = Response(problem: error)
                response.status = status
                respondOnce(response)
            }
            return false
        }
        missingBytes = head.contentLength
        if isEnd, missingBytes ?? 0 > 0 {
            resetMalformed()
            return false
        }
        isHead = head.method == .head
        isConnect = head.connectProtocol != nil
        pendingHead = isEnd ? nil : head
        if isEnd { start(head, .empty) }
        return pendingHead != nil
    }

    /// Starts a request whose body has not arrived completely.
    func startPending() {
        guard let head = pendingHead.take() else { return }
        let stream = InboundStream(length: head.contentLength, capacity: .max) { [weak self] bytes in
            self?.onLoop { $0.consumed(bytes) }
        } onDemand: { [weak self] in
            if head.expectsContinue { self?.onLoop { $0.sendContinue() } }
        }
        needsContinue = head.expectsContinue && earlyBody.readableBytes == 0
        body = stream
        if earlyBody.readableBytes > 0 { _ = stream.push(Self.compacted(earlyBody)) }
        earlyBody = ByteBuffer()
        start(head, RequestBody(stream, limit: limits.bodyBytes))
    }

    /// Asks for the body. No 100 can be sent once the response has begun.
    private func sendContinue() {
        guard needsContinue, !hasResponse, !isClosed else { return }
        needsContinue = false
        connection.send([":status": "100"], of: self)
        connection.flushSoon()
    }

    /// Collects bytes of a body that may arrive completely before its request starts. Such a body is read without
    /// waiting.
    private func receiveEarly(_ bytes: ByteBuffer, isEnd: Bool) {
        earlyBody.appendReclaiming(bytes)
        if isEnd, let head = pendingHead.take() {
            isRemoteEnded = true
            let body = earlyBody
            earlyBody = ByteBuffer()
            connection.consumed(body.readableBytes)
            start(head, RequestBody(body))
        } else if earlyBody.readableBytes > Self.maximumEarlyBytes {
            startPending()
        }
    }

    private func start(_ head: HTTP2RequestHead, _ body: RequestBody) {
        var requestBody = body
        requestBody.limit = limits.bodyBytes
        let request = Request(
            method: head.method, target: head.target, authority: head.authority, headers: head.headers,
            body: requestBody, remoteAddress: connection.peer.address, isSecure: connection.peer.isSecure,
            context: connection.peer.makeContext(connection.core.logger, connectProtocol: head.connectProtocol))
        let worker = connection.loop.start(request, of: self)
        if !isAnswered { self.worker = worker }
    }

    /// - Parameter padding: The number of padding bytes, which count towards flow control.
    func receive(_ bytes: ByteBuffer, padding: Int, isEnd: Bool) {
        window -= bytes.readableBytes + padding
        if padding > 0 { consumed(padding) }
        if let missing = missingBytes {
            missingBytes = missing - bytes.readableBytes
            guard missing >= bytes.readableBytes, missing == bytes.readableBytes || !isEnd else {
                consumed(bytes.readableBytes)
                return resetMalformed()
            }
        }
        needsContinue = false
        clock.received(bodyBytes: bytes.readableBytes)
        guard pendingHead == nil else { return receiveEarly(bytes, isEnd: isEnd) }
        if let upgraded {
            upgraded.receive(bytes)
        } else if let body, !isLocalEnded, !hasFailedBody {
            if bytes.readableBytes > 0 { _ = body.push(Self.compacted(bytes)) }
        } else {
            consumed(bytes.readableBytes)
        }
        if isEnd { remoteEnded(trailers: [:]) }
    }

    /// Copies small pieces, because each would retain the whole buffer that was read with it.
    private static func compacted(_ bytes: ByteBuffer) -> ByteBuffer {
        guard bytes.readableBytes < 16 << 10 else { return bytes }
        var copy = ByteBufferAllocator().buffer(capacity: bytes.readableBytes)
        copy.writeImmutableBuffer(bytes)
        return copy
    }

    func receive(trailers: HPACKHeaders) {
        guard missingBytes ?? 0 == 0, let trailers = trailers.trailers else { return resetMalformed() }
        startPending()
        remoteEnded(trailers: trailers)
    }

    /// Resets the stream because its header or its trailers are malformed, or because its body does not have the
    /// declared length (RFC 9113 §8.1.1).
    private func resetMalformed() {
        isRemoteEnded = true
        isMalformed = true
        pendingHead = nil
        body?.finish(throwing: RequestError.truncated.appError)
        reset(.protocolError)
    }

    private func remoteEnded(trailers: HTTPFields) {
        isRemoteEnded = true
        upgraded?.finish()
        body?.finish(trailers: trailers)
    }

    /// Called when the client has opened its window, or when bytes were sent.
    func windowChanged() { progress = connection.now }

    /// Called when the client has closed the sending side of the connection.
    func inputClosed() {
        guard !isRemoteEnded else { return }
        body?.finish(throwing: RequestError.truncated.appError)
        worker?.cancel()
    }

    /// Called when bytes of the body were read. Returns them to the window.
    func consumed(_ bytes: Int) {
        connection.consumed(bytes)
        consumedBytes += bytes
        guard !isRemoteEnded, !isClosed, !isLocalEnded, consumedBytes >= limits.bufferedBytes / 2 else { return }
        window += consumedBytes
        let increment = consumedBytes
        consumedBytes = 0
        connection.extendWindow(of: id, by: increment)
    }

    /// Called when both sides have ended, or one of them has aborted the stream.
    func closed(wasAborted: Bool) {
        isClosed = true
        pendingHead = nil
        sending.clear()
        connection.consumed(earlyBody.readableBytes)
        body?.finish(throwing: RequestError.truncated.appError)
        // Bytes that were not read no longer block other streams.
        connection.consumed(body?.discard() ?? 0)
        upgraded?.finish()
        if wasAborted { worker?.cancel() }
        worker = nil
        writers.resumeAll(throwing: AppError.connectionClosed)
    }

    // MARK: Timeouts

    func tick(now: NIODeadline, elapsed: TimeAmount) {
        if unsentBytes == 0, !isLocalEnded { progress = now }
        let lastProgress = max(progress, connection.lastWindowChange)
        if now - lastProgress > TimeAmount(limits.idleTimeout) { return reset(.cancel) }
        if let answeredEarly, !isRemoteEnded, now - answeredEarly > Self.lingerTime { return reset(.noError) }
        guard upgraded == nil else { return }
        let awaitsBody =
            body != nil && !isRemoteEnded && !hasFailedBody && !mayPause && !needsContinue && window > 0
            && connection.window > 0
        switch clock.tick(limits, now: now, elapsed: elapsed, awaitsBody: awaitsBody, hasResponse: hasResponse) {
        case .none: break
        case .cancel: worker?.cancel()
        case .bodyTooSlow:
            hasFailedBody = true
            body?.finish(throwing: RequestError.bodyTooSlow.appError)
        case .abandon:
            worker?.cancel()
            worker = nil
            isAbandoned = true
            body?.finish(throwing: Deadline.exceeded)
            respondOnce(Response(problem: Deadline.exceeded))
        }
    }

    /// Begins shutdown.
    func drain() { drainAction.take()?() }

    /// Registers the action of a streamed response for the shutdown of the server.
    func onDrain(_ action: @escaping @Sendable () -> Void) {
        if connection.core.isDraining { action() } else { drainAction = action }
    }

    func drainUpgraded() -> Int {
        guard let upgraded else { return 0 }
        upgraded.drain()
        return 1
    }

    // MARK: Responding

    func deliver(_ response: Response) -> Bool {
        guard !isStreamed(response) else { return false }
        if !isAbandoned { respondOnce(response) }
        finish()
        return true
    }

    func stream(_ response: Response) async {
        if !isClosed, !isAbandoned { await deliverStream(response) }
        finish()
    }

    private func finish() {
        isAnswered = true
        worker = nil
        drainAction = nil
    }

    private func isStreamed(_ response: Response) -> Bool {
        if response.upgrade != nil { return true }
        return if case .stream = response.body { !isConnect && sendsBody(of: response) } else { false }
    }

    private func sendsBody(of response: Response) -> Bool { !isHead && !response.hasNoBodyByStatus }

    private func deliverStream(_ response: Response) async {
        if let upgrade = response.upgrade { return await self.upgrade(response, upgrade) }
        guard case .stream(let length, let produce) = response.body else { return }
        // The body's closure may still read the request.
        sendContinue()
        hasResponse = true
        let writer = HTTP2BodyWriter(stream: self, response, length: length)
        mayPause = response.defersHead
        if !mayPause { writer.sendHead([:]) }
        do {
            try await produce(writer)
            try writer.finish()
        } catch {
            connection.core.logAbortedResponse(error)
            reset(.internalError)
        }
    }

    /// Sends a response whose body is available, unless a response has begun.
    private func respondOnce(_ response: Response) {
        guard !isClosed, !hasResponse else { return }
        if isConnect, response.status.kind == .successful {
            // A successful response would open the tunnel.
            return respondOnce(
                Response(problem: AppError(.unimplemented, "This route does not support extended CONNECT requests.")))
        }
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
        if sendsBody {
            writeLast(body)
        } else {
            endedWithHead()
        }
    }

    /// Writes the head of a streamed response.
    func writeStreamHead(_ response: Response, contentLength: Int?) {
        guard !isClosed else { return }
        writeHead(response, contentLength: contentLength, isEnd: false)
        // The body may take a while to begin. Until then, the client should at least have the head.
        connection.flushSoon()
    }

    /// Sends a streamed response whose body turned out to be empty.
    func endWithHead(_ response: Response) {
        guard !isClosed else { return }
        writeHead(response, contentLength: nil, isEnd: true)
        endedWithHead()
    }

    private func endedWithHead() {
        if !isRemoteEnded { answeredEarly = .now() }
        localEnded()
    }

    private func writeHead(_ response: Response, contentLength: Int?, isEnd: Bool) {
        hasResponse = true
        let headers = HPACKHeaders(
            response.status, response.headers, contentLength: contentLength, date: connection.loop.date)
        connection.send(headers, of: self, isEnd: isEnd)
    }

    func end(trailers: HTTPFields) {
        guard !isClosed else { return }
        if trailers.isEmpty {
            writeLast(ByteBuffer())
        } else {
            connection.send(HPACKHeaders(trailers: trailers), of: self, isEnd: true, onSent: onLastSent)
            localEnded()
        }
    }

    private func writeLast(_ bytes: ByteBuffer) {
        connection.send(bytes, of: self, isEnd: true, onSent: onLastSent)
        localEnded()
    }

    private var onLastSent: SendQueue.Action? {
        guard !isRemoteEnded else { return nil }
        return { self.answeredEarly = .now() }
    }

    private func localEnded() {
        isLocalEnded = true
        progress = connection.now
        connection.consumed(body?.discard() ?? 0)
        connection.flushSoon()
    }

    func reset(_ code: HTTP2ErrorCode) { connection.reset(self, code) }

    // MARK: Streamed bytes

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
        guard !isClosed, !isLocalEnded else { return continuation.resume(throwing: AppError.connectionClosed) }
        guard bytes.readableBytes > 0 else { return continuation.resume() }
        let cost = bytes.readableBytes + Self.pieceOverhead
        unsentBytes += cost
        connection.send(bytes, of: self) { self.sent(cost) }
        connection.flushSoon()
        // The flush may have closed the connection.
        guard !isClosed else { return continuation.resume(throwing: AppError.connectionClosed) }
        if unsentBytes > limits.bufferedBytes {
            writers.wait(writer, continuation)
        } else {
            writers.resume(writer, continuation, after: bytes.readableBytes, on: connection.loop.eventLoop)
        }
    }

    /// The memory overhead of a piece, in bytes.
    private static let pieceOverhead = 256

    private func sent(_ bytes: Int) {
        unsentBytes -= bytes
        progress = .now()
        if unsentBytes <= limits.bufferedBytes { writers.resumeAll() }
    }

    // MARK: Upgrade

    /// Switches the stream to another protocol, as HTTP/1.1 does with a whole connection (RFC 8441).
    private func upgrade(_ response: Response, _ upgrade: Upgrade) async {
        hasResponse = true
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
        if !isClosed, !isLocalEnded { end(trailers: [:]) }
    }

    /// Runs work immediately if called on the event loop; otherwise schedules it there.
    func onLoop(_ work: @escaping @Sendable (HTTP2Stream) -> Void) { connection.onLoop { _ in work(self) } }
}
