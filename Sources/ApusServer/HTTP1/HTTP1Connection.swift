import ApusCore
import ApusHTTP
import HTTPTypes
import Logging
import NIOCore
import NIOSSL
import NIOTLS

/// An HTTP/1.1 connection: reads requests, starts their handlers on the event loop, and writes their responses.
///
/// `@unchecked Sendable`: every stored property is accessed only on the channel's event loop. The tasks of requests
/// also run there, through their executor preference; calls from other threads go through ``onLoop(_:)``. No access to
/// a property overlaps with another: the state machine and the buffer are values that call no other code. So
/// exclusivity checks are disabled where every request would pay for them.
final class HTTP1Connection: ChannelInboundHandler, RemovableChannelHandler, Connection, RequestWorker.Owner,
    @unchecked Sendable
{
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let core: ServerCore
    let loop: LoopState
    private var peer: Peer
    private var prelude: Prelude
    private let openedAt = NIODeadline.now()
    /// The action of a streamed response when the server begins to shut down.
    private var drainAction: (@Sendable () -> Void)?
    @exclusivity(unchecked) private(set) var machine: HTTP1StateMachine
    @exclusivity(unchecked) private(set) var channelContext: ChannelHandlerContext?
    /// Whether HTTP/2 has taken over the connection.
    private var hasSwitchedToHTTP2 = false
    @exclusivity(unchecked) private var worker: RequestWorker?
    /// The number of the current request, to distinguish it from earlier ones.
    @exclusivity(unchecked) private var exchange = 0
    /// The number of the last request whose worker has finished.
    @exclusivity(unchecked) private var lastAnswered = 0
    @exclusivity(unchecked) private var body: InboundStream?
    @exclusivity(unchecked) private var upgraded: HTTP1ByteStream?
    var waitingWriters = WaitingWriters()
    @exclusivity(unchecked) private var isProcessing = false
    @exclusivity(unchecked) var isInRead = false
    /// Output that has not been passed to the channel.
    @exclusivity(unchecked) var output = ByteBuffer()
    @exclusivity(unchecked) var hasOutput = false
    /// Whether the channel has bytes that have not been flushed.
    @exclusivity(unchecked) var hasUnflushedBytes = false
    /// Whether the channel has been given bytes since its queue was last seen empty.
    @exclusivity(unchecked) var channelMayHoldBytes = false
    /// Sends small responses directly to the socket, where that is possible.
    @exclusivity(unchecked) private(set) var socket: SocketWriter?
    @exclusivity(unchecked) private var isReading = true
    @exclusivity(unchecked) private var needsContinue = false
    @exclusivity(unchecked) private var hasRequestBody = false
    private let isEncrypted: Bool
    private var isOutputClosed = false
    /// The total number of bytes written.
    @exclusivity(unchecked) var writtenBytes = 0
    @exclusivity(unchecked) var isVersion10 = false
    @exclusivity(unchecked) var isHead = false

    /// What precedes the first request. It is read by handlers closer to the socket.
    enum Prelude {
        case none
        /// A PROXY header, followed by plaintext.
        case proxied
        /// A TLS handshake, possibly after a PROXY header. No byte bypasses the channel.
        case encrypted
    }

    init(core: ServerCore, loop: LoopState, peer: Peer, prelude: Prelude = .none) {
        self.core = core
        self.loop = loop
        self.peer = peer
        self.prelude = prelude
        isEncrypted = prelude == .encrypted
        machine = HTTP1StateMachine(limits: core.limits, now: .now())
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        channelContext = context
        loop.add(self)
    }

    /// Also called for a channel that never became active and therefore never becomes inactive.
    func handlerRemoved(context: ChannelHandlerContext) {
        unregister()
        channelContext = nil
        upgraded = nil
    }

    private func unregister() {
        if loop.remove(self) { core.connectionClosed() }
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        if !isEncrypted { socket = SocketWriter(context.channel) }
        if core.isDraining { drain() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        isInRead = true
        if let upgraded {
            upgraded.receive(bytes)
        } else {
            machine.received(bytes, now: .now())
            process()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isInRead = false
        flushIfNeeded()
        readIfWanted()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        // The first HTTP/2 frames may fill the channel's buffer before this handler has been removed.
        guard !hasSwitchedToHTTP2 else { return context.fireChannelWritabilityChanged() }
        let isWritable = context.channel.isWritable
        machine.writabilityChanged(isWritable)
        guard isWritable else { return }
        waitingWriters.resumeAll()
        process()
        readIfWanted()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.handshakeCompleted(let negotiatedProtocol)) = event as? TLSUserEvent {
            return handshakeCompleted(negotiatedProtocol)
        }
        guard case .some(.inputClosed) = event as? ChannelEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        perform(machine.inputClosed())
        process()
        upgraded?.finish()
    }

    func channelInactive(context: ChannelHandlerContext) {
        machine.closed()
        unregister()
        body?.finish(throwing: HTTP1Error.truncated.appError)
        body = nil
        upgraded?.finish()
        worker?.cancel()
        worker = nil
        waitingWriters.resumeAll(throwing: Self.connectionClosed)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    // MARK: Prelude

    /// Called with the client's address from the PROXY header; `nil` for the load balancer's own connections.
    func receivedProxyHeader(clientAddress: String?) {
        if let clientAddress { peer.address = clientAddress }
        if prelude == .proxied { prelude = .none }
    }

    private func handshakeCompleted(_ negotiatedProtocol: String?) {
        prelude = .none
        if let certificate = try? channelContext?.pipeline.syncOperations.nioSSL_peerCertificate() {
            peer.certificate = PeerCertificate(certificate)
        }
        if negotiatedProtocol == "h2" { switchToHTTP2(ByteBuffer()) }
    }

    /// The error of a write to a closed connection.
    static var connectionClosed: AppError { AppError(.cancelled, "The connection is closed.") }

    // MARK: Timeouts and shutdown

    func tick(now: NIODeadline, elapsed: TimeAmount) {
        guard prelude == .none || now - openedAt <= TimeAmount(core.limits.headTimeout) else { return abort() }
        let pending = pendingBytes
        switch machine.tick(now: now, elapsed: elapsed, pendingBytes: pending, sentBytes: writtenBytes - pending) {
        case .none: break
        case .reject(let error): reject(error)
        case .failBody(let error):
            body?.finish(throwing: error.appError)
            body = nil
        case .cancel: worker?.cancel()
        case .abandon:
            worker?.cancel()
            worker = nil
            body?.finish(throwing: Deadline.exceeded)
            body = nil
            write(problem: Deadline.exceeded, status: Deadline.exceeded.httpStatus)
            closeAfterLastResponse()
        case .close: abort()
        }
    }

    /// Begins shutdown: an idle connection closes immediately, any other after its response.
    func drain() {
        drainAction.take()?()
        perform(machine.drain())
    }

    /// Registers the action of a streamed response for the shutdown of the server.
    func onDrain(_ action: @escaping @Sendable () -> Void) {
        if core.isDraining { action() } else { drainAction = action }
    }

    func drainUpgraded() -> Int {
        guard let upgraded else { return 0 }
        upgraded.drain()
        return 1
    }

    /// Closes the connection once everything written has been sent.
    func closeAfterFlush() {
        guard let channelContext else { return }
        flushIfNeeded()
        // Writes complete in order, so an empty one completes after all before it. If the peer does not read, it never
        // completes, and a timeout closes the connection.
        let written = channelContext.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in self.abort() }
        channelContext.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
    }

    /// Closes the connection immediately and discards unsent bytes.
    func abort() { channelContext?.close(promise: nil) }

    // MARK: Actions

    /// Performs the actions of the state machine until it waits. Nested calls leave the work to the outermost one.
    private func process() {
        guard !isProcessing else { return }
        isProcessing = true
        defer { isProcessing = false }
        while true {
            let action = machine.next()
            if case .wait = action { break }
            perform(action)
        }
        if machine.isLingering { closeAfterLastResponse() }
        if machine.isAbandonedByPeer { worker?.cancel() }
        if !isInRead { flushIfNeeded() }
    }

    private func perform(_ action: HTTP1StateMachine.Action) {
        switch action {
        case .wait: if machine.isLingering { closeAfterLastResponse() }
        case .start(let head, let body): start(head, body)
        case .deliver(let bytes): if let body, !body.push(bytes) { machine.bodyWanted(false) }
        case .endBody(let trailers):
            body?.finish(trailers: trailers)
            body = nil
        case .failBody(let error):
            body?.finish(throwing: error.appError)
            body = nil
        case .reject(let error): reject(error)
        case .close: closeAfterFlush()
        case .switchToHTTP2(let bytes): switchToHTTP2(bytes)
        }
    }

    /// Hands the connection over to HTTP/2, with the bytes that have been received.
    private func switchToHTTP2(_ bytes: ByteBuffer) {
        guard let context = channelContext else { return }
        let pipeline = context.pipeline.syncOperations
        hasSwitchedToHTTP2 = true
        do {
            loop.remove(self)
            try HTTP2Connection.add(to: pipeline, core: core, loop: loop, peer: peer)
            if bytes.readableBytes > 0 { context.fireChannelRead(NIOAny(bytes)) }
            pipeline.removeHandler(context: context, promise: nil)
        } catch {
            core.connectionClosed()
            context.close(promise: nil)
        }
    }

    private func start(_ head: RequestHead, _ incomingBody: HTTP1StateMachine.Body) {
        exchange += 1
        isVersion10 = head.isVersion10
        isHead = head.method == .head
        needsContinue = head.expectsContinue
        hasRequestBody = true
        var requestBody: RequestBody
        switch incomingBody {
        case .complete(let bytes):
            requestBody = RequestBody(bytes)
            needsContinue = false
            hasRequestBody = bytes.readableBytes > 0
        case .incoming(let length):
            let stream = InboundStream(length: length, capacity: core.limits.bufferedBytes) { [weak self, exchange] in
                self?.onLoop { $0.resumeBody(of: exchange) }
            }
            body = stream
            requestBody = RequestBody(stream, limit: core.limits.bodyBytes)
        }
        requestBody.limit = core.limits.bodyBytes
        let request = Request(
            method: head.method, target: head.target, authority: head.authority, headers: head.headers,
            body: requestBody,
            remoteAddress: peer.address, isSecure: peer.isSecure, context: peer.makeContext(core.logger))
        let exchange = exchange
        let worker = loop.start(request, of: self)
        // A handler that never suspended has already responded.
        if exchange == self.exchange, exchange != lastAnswered { self.worker = worker }
    }

    private func resumeBody(of exchange: Int) {
        guard exchange == self.exchange else { return }
        writeContinue()
        machine.bodyWanted(true)
        process()
        readIfWanted()
    }

    private func writeContinue() {
        guard needsContinue else { return }
        needsContinue = false
        writeOut(Self.continueHead)
        flushIfNeeded()
    }

    private static let continueHead = ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")

    /// Starts or stops reading from the channel, depending on whether more bytes are wanted.
    private func readIfWanted() {
        let isWanted = upgraded?.hasRoom ?? machine.wantsRead
        guard isWanted != isReading else { return }
        isReading = isWanted
        try? channelContext?.channel.syncOptions?.setOption(.autoRead, value: isWanted)
    }

    private func reject(_ error: HTTP1Error) {
        _ = machine.linger()
        // The error belongs to no request, so the previous request must not affect the response.
        isHead = false
        isVersion10 = false
        write(problem: error.appError, status: error.status)
        closeAfterLastResponse()
    }

    private func write(problem: AppError, status: HTTPResponse.Status) {
        var response = Response(problem: problem)
        if status != response.status {
            var details = ProblemDetails(problem)
            details.status = status.code
            details.title = status.reasonPhrase
            response.status = status
            response.body = (try? JSONCoding.encode(details)).map(ResponseBody.bytes) ?? .empty
        }
        writeHeadAndBytes(response, keepAlive: false)
        flushIfNeeded()
    }

    /// Closes the sending side, so that the peer can read the response before the connection is reset.
    private func closeAfterLastResponse() {
        guard !isOutputClosed else { return }
        isOutputClosed = true
        if case .close = machine.linger() { return closeAfterFlush() }
        flushIfNeeded()
        channelContext?.close(mode: .output, promise: nil)
        readIfWanted()
    }

    // MARK: Requests

    func deliver(_ response: Response) -> Bool {
        guard !isStreamed(response) else { return false }
        let exchange = exchange
        if channelContext != nil, let keepAlive = machine.beginResponse() {
            if case .trailers(let trailers) = response.delivery, !isVersion10 {
                writeHeadBytesAndTrailers(response, trailers, keepAlive: keepAlive)
            } else {
                writeHeadAndBytes(response, keepAlive: keepAlive)
            }
            endResponse(keepAlive: keepAlive)
        }
        finish(exchange)
        return true
    }

    func stream(_ response: Response) async {
        let exchange = exchange
        if channelContext != nil { await deliverStream(response) }
        finish(exchange)
    }

    private func finish(_ exchange: Int) {
        guard exchange == self.exchange else { return }
        lastAnswered = exchange
        // The worker goes on to requests of other connections, which this one must not cancel.
        worker = nil
    }

    private func isStreamed(_ response: Response) -> Bool {
        if response.upgrade != nil { return true }
        return if case .stream = response.body { sendsBody(of: response) } else { false }
    }

    private func deliverStream(_ response: Response) async {
        if needsContinue {
            // The producer may still read the body, and 100 Continue cannot be sent after the head.
            writeContinue()
            machine.bodyWanted(true)
        }
        guard let keepAlive = machine.beginResponse(isStreamed: true) else { return }
        if let upgrade = response.upgrade { return await self.upgrade(response, upgrade) }
        guard case .stream(let length, let produce) = response.body else { return }
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

    private func endResponse(keepAlive: Bool) {
        worker = nil
        drainAction = nil
        body?.finish(throwing: AppError(.cancelled, "The response has been sent; the rest of the body is discarded."))
        body = nil
        // Within a read, the time at which the read began is used.
        perform(machine.endResponse(keepAlive: keepAlive, now: isInRead ? machine.now : .now()))
        process()
        readIfWanted()
    }

    private func upgrade(_ response: Response, _ upgrade: Upgrade) async {
        guard !isVersion10, !hasRequestBody else {
            // The bytes of a body would be mistaken for those of the new protocol (RFC 9110 §7.8).
            let error = AppError(.invalidArgument, "Only an HTTP/1.1 request without a body can be upgraded.")
            write(problem: error, status: error.httpStatus)
            return closeAfterLastResponse()
        }
        var head = ByteBuffer()
        ResponseHeadEncoder.encodeUpgrade(headers: response.headers, into: &head)
        writeOut(head)
        let stream = HTTP1ByteStream(handler: self, capacity: core.limits.bufferedBytes)
        upgraded = stream
        let remainder = machine.upgrade()
        if remainder.readableBytes > 0 { stream.receive(remainder) }
        if core.isDraining { stream.drain() }
        flushIfNeeded()
        readIfWanted()
        await upgrade.run(stream)
        stream.finish()
        upgraded = nil
        worker = nil
        closeAfterLastResponse()
    }

    /// Called when the reader of the upgraded connection has room again.
    func resumeReadingUpgraded() {
        upgraded?.roomBecameAvailable()
        readIfWanted()
    }

    /// Runs work immediately if called on the event loop; otherwise schedules it there.
    func onLoop(_ work: @escaping @Sendable (HTTP1Connection) -> Void) {
        if loop.eventLoop.inEventLoop {
            work(self)
        } else {
            loop.executor.execute { work(self) }
        }
    }
}
