import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import NIOHPACK

/// A request and its response on an HTTP/2 connection. Performs what its state machine decides. Extensions contain the
/// response and its streamed bytes.
///
/// `@unchecked Sendable`: every stored property is accessed only on the connection's event loop.
final class HTTP2Stream: RequestWorker.Owner, @unchecked Sendable {
    let id: UInt32
    let connection: HTTP2Connection
    @exclusivity(unchecked) var machine: HTTP2StreamStateMachine
    /// The output that waits for the client's window.
    @exclusivity(unchecked) var sending: SendQueue
    var writers = WaitingWriters()
    private(set) var body: InboundStream?
    var upgraded: HTTP2ByteStream?
    private var worker: RequestWorker?
    private var hasFinished = false
    /// The action of a streamed response when the server begins to shut down.
    private var drainAction: (@Sendable () -> Void)?
    private(set) var isHead = false
    private(set) var isConnect = false

    init(_ id: UInt32, isEnd: Bool, connection: HTTP2Connection, sendWindow: Int) {
        self.id = id
        self.connection = connection
        sending = SendQueue(window: sendWindow)
        machine = HTTP2StreamStateMachine(
            isEnd: isEnd, window: connection.core.limits.bufferedBytes, now: connection.now)
    }

    var limits: ServerLimits { connection.core.limits }

    // MARK: Receiving

    /// Receives the header of the request.
    func receive(_ headers: HPACKHeaders) {
        do {
            let head = try HTTP2RequestHead(headers, limits: limits, &connection.loop.fieldTable)
            isHead = head.method == .head
            isConnect = head.connectProtocol != nil
            perform(machine.received(head))
        } catch {
            switch error {
            case .malformed: perform(machine.malformed())
            case .refused(let error, let status):
                var response = Response(problem: error)
                response.status = status
                respond(response)
            }
        }
    }

    /// Starts a request whose body has not arrived completely.
    func startPending() { perform(machine.startPending()) }

    /// - Parameter padding: The number of padding bytes, which count towards flow control.
    func receive(_ bytes: ByteBuffer, padding: Int, isEnd: Bool) {
        let action = machine.received(bytes, padding: padding, isEnd: isEnd)
        if padding > 0 { consumed(padding) }
        perform(action)
    }

    func receive(trailers: HPACKHeaders) {
        startPending()
        perform(machine.received(trailers: trailers.trailers))
    }

    private func perform(_ action: HTTP2StreamStateMachine.Action) {
        switch action {
        case .none: break
        case .start(let head, .complete(let bytes)) where head.connectProtocol != nil:
            // The bytes belong to the tunnel, which reads them as a stream.
            start(head, streamedBody(of: head, bytes))
            endBody(trailers: [:])
        case .start(let head, .complete(let bytes)):
            connection.consumed(bytes.readableBytes)
            start(head, RequestBody(bytes))
        case .start(let head, .incoming(let first)): start(head, streamedBody(of: head, first))
        case .deliver(let bytes, let isEnd):
            _ = body?.push(Self.compacted(bytes))
            if isEnd { endBody(trailers: [:]) }
        case .endBody(let trailers): endBody(trailers: trailers)
        case .discard(let count): consumed(count)
        case .reset(let code, let count):
            connection.consumed(count)
            body?.finish(throwing: RequestError.truncated.appError)
            reset(code)
        }
    }

    private func streamedBody(of head: HTTP2RequestHead, _ first: ByteBuffer) -> RequestBody {
        let stream = InboundStream(length: head.contentLength, capacity: .max) { [weak self] bytes in
            self?.onLoop { $0.consumed(bytes) }
        } onDemand: { [weak self] in
            if head.expectsContinue { self?.onLoop { $0.sendContinue() } }
        }
        body = stream
        if first.readableBytes > 0 { _ = stream.push(Self.compacted(first)) }
        return RequestBody(stream, limit: limits.bodyBytes)
    }

    /// Copies small pieces, because each would retain the whole buffer that was read with it.
    private static func compacted(_ bytes: ByteBuffer) -> ByteBuffer {
        guard bytes.readableBytes < 16 << 10 else { return bytes }
        var copy = ByteBufferAllocator().buffer(capacity: bytes.readableBytes)
        copy.writeImmutableBuffer(bytes)
        return copy
    }

    private func start(_ head: HTTP2RequestHead, _ body: RequestBody) {
        var requestBody = body
        requestBody.limit = limits.bodyBytes
        let request = Request(
            method: head.method, target: head.target, authority: head.authority, headers: head.headers,
            body: requestBody, remoteAddress: connection.peer.address, isSecure: connection.peer.isSecure,
            context: connection.peer.makeContext(connection.core.logger, connectProtocol: head.connectProtocol))
        let worker = connection.loop.start(request, of: self)
        // A handler that never suspended has already responded.
        if !hasFinished { self.worker = worker }
    }

    private func endBody(trailers: HTTPFields) {
        body?.finish(trailers: trailers)
        upgraded?.finish()
    }

    /// Sends 100 if the client waits for it.
    func sendContinue() {
        guard machine.bodyWanted() else { return }
        connection.send([":status": "100"], of: self)
        connection.flushSoon()
    }

    /// Called when bytes of the body were read. Returns them to the windows.
    func consumed(_ bytes: Int) {
        connection.consumed(bytes)
        if let increment = machine.consumed(bytes, limits: limits) { connection.extendWindow(of: id, by: increment) }
    }

    // MARK: Ending

    /// Called when the client has closed the sending side of the connection.
    func inputClosed() {
        guard !machine.isRemoteEnded else { return }
        body?.finish(throwing: RequestError.truncated.appError)
        worker?.cancel()
    }

    /// Called when the handler has returned and its response was delivered.
    func finish() {
        hasFinished = true
        // The worker goes on to other requests, which this stream must not cancel.
        worker = nil
        drainAction = nil
    }

    func reset(_ code: HTTP2ErrorCode) { connection.reset(self, code) }

    /// Called when both sides have ended, or one of them has aborted the stream.
    func closed(wasAborted: Bool) {
        connection.consumed(machine.closed())
        sending.clear()
        body?.finish(throwing: RequestError.truncated.appError)
        // Bytes that were not read no longer block other streams.
        connection.consumed(body?.discard() ?? 0)
        upgraded?.finish()
        if wasAborted { worker?.cancel() }
        worker = nil
        writers.resumeAll(throwing: AppError.connectionClosed)
    }

    // MARK: Timeouts and shutdown

    func tick(now: NIODeadline, elapsed: TimeAmount) {
        let expiry = machine.tick(
            limits, now: now, elapsed: elapsed, lastWindowChange: connection.machine.lastWindowChange,
            hasConnectionWindow: connection.machine.window > 0)
        switch expiry {
        case .none: break
        case .reset(let code): reset(code)
        case .cancel: worker?.cancel()
        case .failBody: body?.finish(throwing: RequestError.bodyTooSlow.appError)
        case .abandon:
            worker?.cancel()
            worker = nil
            body?.finish(throwing: Deadline.exceeded)
            respond(Response(problem: Deadline.exceeded))
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

    /// Runs work immediately if called on the event loop; otherwise schedules it there.
    func onLoop(_ work: @escaping @Sendable (HTTP2Stream) -> Void) { connection.onLoop { _ in work(self) } }
}
