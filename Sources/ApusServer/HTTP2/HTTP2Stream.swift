import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import NIOHPACK

/// One request and its response on an HTTP/2 connection.
///
/// `@unchecked Sendable`: every stored property is touched on the connection's event loop alone.
final class HTTP2Stream: RequestWorker.Owner, @unchecked Sendable {
    let id: UInt32
    private let connection: HTTP2Connection
    private var clock: ExchangeClock
    private var worker: RequestWorker?
    private var isAnswered = false
    private var body: InboundStream?
    /// A request whose body may yet come whole in the read that brought its head, and what came of it.
    private var awaited: HTTP2RequestHead?
    private var early = ByteBuffer()
    private var upgraded: HTTP2ByteStream?
    private var isHead = false
    private var isConnect = false
    private var hasFailedBody = false
    /// Whether the client waits for 100 before it sends the body.
    private var owesContinue = false
    /// Whether the client may take its time with the body: the two sides converse.
    private var mayPause = false
    private var hasResponse = false
    /// Whether bytes of the response were sent.
    var hasSentBytes = false
    /// Whether the client was refused what it sent, because no request or body is like that.
    private(set) var isMalformed = false
    private var isAbandoned = false
    /// Whether the client has said all.
    private(set) var isRemoteEnded = false
    /// Whether all of the response was handed over, sent or not.
    private var isLocalEnded = false
    private(set) var isClosed = false
    /// What waits for the client's allowance, and how much that is.
    @exclusivity(unchecked) var sending: SendQueue
    /// Whether the last frame of the response is written.
    var hasSentEnd = false
    /// When the response was out whole, if the request was not. What the client still sends is not wanted then, and it is
    /// told so (RFC 9113 §8.1), but not at once: a reset that arrives with the response makes some clients forget that.
    private var answeredEarly: NIODeadline?
    /// What a streamed response does when the server stops.
    private var drainAction: (@Sendable () -> Void)?
    /// How much the client may still send before it is allowed more.
    private(set) var window: Int
    private var consumedBytes = 0
    /// How much of the body is to come, where its length was announced.
    private var missingBytes: Int?
    /// Bytes that were written and that the client has not taken yet, and since when it has taken none.
    private var unsentBytes = 0
    private var progress: NIODeadline
    private var writers = WaitingWriters()

    private static let lingerTime = TimeAmount.seconds(1)
    private static let mostEarlyBytes = 64 << 10

    init(_ id: UInt32, connection: HTTP2Connection, sendWindow: Int) {
        self.id = id
        self.connection = connection
        sending = SendQueue(window: sendWindow)
        let now = connection.now
        clock = ExchangeClock(now: now)
        progress = now
        window = connection.core.limits.bufferedBytes
    }

    /// Whether the client has what it asked for, or some of it.
    var wasAnswered: Bool { isLocalEnded || hasSentBytes }

    private var limits: ServerLimits { connection.core.limits }

    // MARK: What comes

    /// - Returns: Whether the request awaits its body: ``startAwaited()`` follows, when the read that brought it has ended.
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
        awaited = isEnd ? nil : head
        if isEnd { start(head, .empty) }
        return awaited != nil
    }

    /// Starts a request whose body did not come whole with its head.
    func startAwaited() {
        guard let head = awaited.take() else { return }
        let stream = InboundStream(length: head.contentLength, capacity: .max) { [weak self] bytes in
            self?.onLoop { $0.consumed(bytes) }
        } onDemand: { [weak self] in
            if head.expectsContinue { self?.onLoop { $0.sendContinue() } }
        }
        owesContinue = head.expectsContinue && early.readableBytes == 0
        body = stream
        if early.readableBytes > 0 { _ = stream.push(Self.kept(early)) }
        early = ByteBuffer()
        start(head, RequestBody(stream, limit: limits.bodyBytes))
    }

    /// Asks for the body. No 100 can be sent once the response has begun.
    private func sendContinue() {
        guard owesContinue, !hasResponse, !isClosed else { return }
        owesContinue = false
        connection.send([":status": "100"], of: self)
        connection.flushSoon()
    }

    /// Takes bytes of a body that may come whole before its request has started: to read it takes no waiting then.
    private func receiveEarly(_ bytes: ByteBuffer, isEnd: Bool) {
        early.appendReclaiming(bytes)
        if isEnd, let head = awaited.take() {
            isRemoteEnded = true
            let whole = early
            early = ByteBuffer()
            connection.consumed(whole.readableBytes)
            start(head, RequestBody(whole))
        } else if early.readableBytes > Self.mostEarlyBytes {
            startAwaited()
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

    /// - Parameter padding: How many bytes came along that mean nothing, but count.
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
        owesContinue = false
        clock.received(bodyBytes: bytes.readableBytes)
        guard awaited == nil else { return receiveEarly(bytes, isEnd: isEnd) }
        if let upgraded {
            upgraded.receive(bytes)
        } else if let body, !isLocalEnded, !hasFailedBody {
            if bytes.readableBytes > 0 { _ = body.push(Self.kept(bytes)) }
        } else {
            consumed(bytes.readableBytes)
        }
        if isEnd { remoteEnded(trailers: [:]) }
    }

    /// Small pieces are copied, because each would keep all that was read with it.
    private static func kept(_ bytes: ByteBuffer) -> ByteBuffer {
        guard bytes.readableBytes < 16 << 10 else { return bytes }
        var copy = ByteBufferAllocator().buffer(capacity: bytes.readableBytes)
        copy.writeImmutableBuffer(bytes)
        return copy
    }

    func receive(trailers: HPACKHeaders) {
        guard missingBytes ?? 0 == 0, let trailers = trailers.trailers else { return resetMalformed() }
        startAwaited()
        remoteEnded(trailers: trailers)
    }

    /// The body is not as long as was announced (RFC 9113 §8.1.1), or what follows it cannot be read.
    private func resetMalformed() {
        isRemoteEnded = true
        isMalformed = true
        awaited = nil
        body?.finish(throwing: HTTP1Error.truncated.appError)
        reset(.protocolError)
    }

    private func remoteEnded(trailers: HTTPFields) {
        isRemoteEnded = true
        upgraded?.finish()
        body?.finish(trailers: trailers)
    }

    /// The client's window was opened, or bytes went out through it.
    func windowChanged() { progress = connection.now }

    /// No more of the connection will come.
    func inputClosed() {
        guard !isRemoteEnded else { return }
        body?.finish(throwing: HTTP1Error.truncated.appError)
        worker?.cancel()
    }

    /// The reader took bytes: the client may send as many more.
    func consumed(_ bytes: Int) {
        connection.consumed(bytes)
        consumedBytes += bytes
        guard !isRemoteEnded, !isClosed, !isLocalEnded, consumedBytes >= limits.bufferedBytes / 2 else { return }
        window += consumedBytes
        let increment = consumedBytes
        consumedBytes = 0
        connection.allow(increment, of: id)
    }

    /// Both sides have ended, or one of them cut the stream off.
    func closed(wasCut: Bool) {
        isClosed = true
        awaited = nil
        sending.clear()
        connection.consumed(early.readableBytes)
        body?.finish(throwing: HTTP1Error.truncated.appError)
        // What was not read is no longer in the way of other streams.
        connection.consumed(body?.discard() ?? 0)
        upgraded?.finish()
        if wasCut { worker?.cancel() }
        worker = nil
        writers.resumeAll(throwing: HTTP1Connection.connectionClosed)
    }

    // MARK: Clocks

    func tick(now: NIODeadline, elapsed: TimeAmount) {
        if unsentBytes == 0, !isLocalEnded { progress = now }
        let lastProgress = max(progress, connection.lastWindowChange)
        if now - lastProgress > TimeAmount(limits.idleTimeout) { return reset(.cancel) }
        if let answeredEarly, !isRemoteEnded, now - answeredEarly > Self.lingerTime { return reset(.noError) }
        guard upgraded == nil else { return }
        let awaitsBody =
            body != nil && !isRemoteEnded && !hasFailedBody && !mayPause && !owesContinue && window > 0
            && connection.window > 0
        switch clock.tick(limits, now: now, elapsed: elapsed, awaitsBody: awaitsBody, hasResponse: hasResponse) {
        case .none: break
        case .cancel: worker?.cancel()
        case .bodyTooSlow:
            hasFailedBody = true
            body?.finish(throwing: HTTP1Error.bodyTooSlow.appError)
        case .abandon:
            worker?.cancel()
            worker = nil
            isAbandoned = true
            body?.finish(throwing: Deadline.exceeded)
            respondOnce(Response(problem: Deadline.exceeded))
        }
    }

    /// The server stops.
    func drain() { drainAction.take()?() }

    /// A streamed response wants to know when the server stops.
    func tellOfDrain(_ action: @escaping @Sendable () -> Void) {
        if connection.core.isDraining { action() } else { drainAction = action }
    }

    func drainUpgraded() -> Int {
        guard let upgraded else { return 0 }
        upgraded.drain()
        return 1
    }

    // MARK: What goes

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
        // The producer may read the body yet.
        sendContinue()
        hasResponse = true
        let writer = HTTP2BodyWriter(stream: self, response, length: length)
        mayPause = response.defersHead
        if !mayPause { writer.sendHead([:]) }
        do {
            try await produce(writer)
            try writer.finish()
        } catch {
            connection.core.log(cutOff: error)
            reset(.internalError)
        }
    }

    /// A whole response that is at hand.
    private func respondOnce(_ response: Response) {
        guard !isClosed, !hasResponse else { return }
        if isConnect, response.status.kind == .successful {
            // A success would mean that the tunnel is open.
            return respondOnce(Response(problem: AppError(.unimplemented, "Nothing to connect to is here.")))
        }
        let body: ByteBuffer
        var length: Int?
        if case .stream(let announced, _) = response.body {
            (body, length) = (ByteBuffer(), announced)
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

    /// The head of a streamed response.
    func writeStreamHead(_ response: Response, contentLength: Int?) {
        guard !isClosed else { return }
        writeHead(response, contentLength: contentLength, isEnd: false)
        // The first piece may be long in coming, and the client is to know that it will.
        connection.flushSoon()
    }

    /// A streamed response that came to nothing but its head.
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

    /// Sends bytes, and waits while the client does not keep up. From any thread.
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
        guard !isClosed, !isLocalEnded else { return continuation.resume(throwing: HTTP1Connection.connectionClosed) }
        guard bytes.readableBytes > 0 else { return continuation.resume() }
        let cost = bytes.readableBytes + Self.costOfPiece
        unsentBytes += cost
        connection.send(bytes, of: self) { self.sent(cost) }
        connection.flushSoon()
        // To flush may have been the end of the connection.
        guard !isClosed else { return continuation.resume(throwing: HTTP1Connection.connectionClosed) }
        if unsentBytes > limits.bufferedBytes {
            writers.wait(writer, continuation)
        } else {
            writers.goOn(writer, continuation, after: bytes.readableBytes, on: connection.loop.eventLoop)
        }
    }

    /// The memory that a piece takes beside its bytes.
    private static let costOfPiece = 256

    private func sent(_ bytes: Int) {
        unsentBytes -= bytes
        progress = .now()
        if unsentBytes <= limits.bufferedBytes { writers.resumeAll() }
    }

    // MARK: Upgrade

    /// Turns the stream to another protocol: what HTTP/1.1 does with its whole connection (RFC 8441).
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

    /// Runs at once when already on the event loop, soon on it otherwise.
    func onLoop(_ work: @escaping @Sendable (HTTP2Stream) -> Void) { connection.onLoop { _ in work(self) } }
}
