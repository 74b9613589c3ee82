import ApusCore
import ApusHTTP
import HTTPTypes
import Logging
import NIOCore
import NIOSSL
import NIOTLS

/// One HTTP/1.1 connection: reads requests, starts their handlers on the event loop, writes their responses.
///
/// `@unchecked Sendable`: every stored property is touched on the channel's event loop alone. The tasks of the requests
/// run there too, by their executor preference; what may call from elsewhere goes through ``onLoop(_:)``. No access to one
/// of them reaches it again from within: the state machine and the buffer are values that call nobody. So the checks for
/// that are left out where every request would pay for them.
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
    /// What a streamed response does when the server stops.
    private var drainAction: (@Sendable () -> Void)?
    @exclusivity(unchecked) private(set) var machine: HTTP1StateMachine
    @exclusivity(unchecked) private(set) var channelContext: ChannelHandlerContext?
    /// Whether the connection is HTTP/2's now.
    private var hasSwitched = false
    @exclusivity(unchecked) private var worker: RequestWorker?
    /// Counts the requests, so that what belongs to an earlier one is told from the present one's.
    @exclusivity(unchecked) private var exchange = 0
    /// The last request whose worker is done with it.
    @exclusivity(unchecked) private var answered = 0
    @exclusivity(unchecked) private var body: InboundStream?
    @exclusivity(unchecked) private var upgraded: HTTP1ByteStream?
    var waitingWriters = WaitingWriters()
    @exclusivity(unchecked) private var isProcessing = false
    @exclusivity(unchecked) var isInRead = false
    /// What was written since the last flush, as far as the channel has not got it yet.
    @exclusivity(unchecked) var output = ByteBuffer()
    @exclusivity(unchecked) var hasOutput = false
    /// Whether the channel has bytes that it was not told to flush.
    @exclusivity(unchecked) var hasUnflushedBytes = false
    /// Whether the channel was given bytes since its queue was last seen empty.
    @exclusivity(unchecked) var channelMayHoldBytes = false
    /// The way past the channel for small responses, where there is one.
    @exclusivity(unchecked) private(set) var socket: SocketWriter?
    @exclusivity(unchecked) private var isReading = true
    @exclusivity(unchecked) private var owesContinue = false
    @exclusivity(unchecked) private var hasRequestBody = false
    private let isEncrypted: Bool
    private var isOutputClosed = false
    /// How many bytes were written in all.
    @exclusivity(unchecked) var writtenBytes = 0
    @exclusivity(unchecked) var isVersion10 = false
    @exclusivity(unchecked) var isHead = false

    /// What comes before the first request, by handlers that are nearer to the socket.
    enum Prelude {
        case none
        /// A PROXY header. What follows it is read from the socket directly.
        case proxied
        /// A TLS handshake, and perhaps a PROXY header before it. No byte goes past the channel.
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

    /// Also for a channel that never became active, and so never becomes inactive.
    func handlerRemoved(context: ChannelHandlerContext) {
        leaveLoop()
        channelContext = nil
        upgraded = nil
    }

    private func leaveLoop() {
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
        // The first bytes of HTTP/2 may be answered with more than the channel takes, before this handler has left.
        guard !hasSwitched else { return context.fireChannelWritabilityChanged() }
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
        leaveLoop()
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

    /// The address came in a PROXY header; `nil` for a connection of the balancer's own.
    func becameKnown(address: String?) {
        if let address { peer.address = address }
        if prelude == .proxied { prelude = .none }
    }

    private func handshakeCompleted(_ negotiatedProtocol: String?) {
        prelude = .none
        if let certificate = try? channelContext?.pipeline.syncOperations.nioSSL_peerCertificate() {
            peer.certificate = PeerCertificate(certificate)
        }
        if negotiatedProtocol == "h2" { switchToHTTP2(ByteBuffer()) }
    }

    /// The error of whoever writes to a connection that is gone.
    static var connectionClosed: AppError { AppError(.cancelled, "The connection is closed.") }

    // MARK: Clocks and draining

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

    /// The server stops: idle connections go at once, the others after their response.
    func drain() {
        drainAction.take()?()
        perform(machine.drain())
    }

    /// A streamed response wants to know when the server stops.
    func tellOfDrain(_ action: @escaping @Sendable () -> Void) {
        if core.isDraining { action() } else { drainAction = action }
    }

    func drainUpgraded() -> Int {
        guard let upgraded else { return 0 }
        upgraded.drain()
        return 1
    }

    /// Ends the connection once what was written has gone out.
    func closeWhenWritten() {
        guard let channelContext else { return }
        flushIfNeeded()
        // Writes are done in order, so an empty one is done when all before it are. One that never is, because the peer
        // does not read, is cut off by the clocks.
        let written = channelContext.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in self.abort() }
        channelContext.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
    }

    /// Ends the connection at once, whatever is still on its way.
    func abort() { channelContext?.close(promise: nil) }

    // MARK: Steps

    /// Does what the state machine says until it waits. Runs that are caused from within are left to the outer one.
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
        case .close: closeWhenWritten()
        case .switchToHTTP2(let bytes): switchToHTTP2(bytes)
        }
    }

    /// Gives the connection over, with what came of it.
    private func switchToHTTP2(_ bytes: ByteBuffer) {
        guard let context = channelContext else { return }
        let pipeline = context.pipeline.syncOperations
        hasSwitched = true
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

    private func start(_ head: RequestHead, _ arrival: HTTP1StateMachine.Body) {
        exchange += 1
        isVersion10 = head.isVersion10
        isHead = head.method == .head
        owesContinue = head.expectsContinue
        hasRequestBody = true
        var requestBody: RequestBody
        switch arrival {
        case .whole(let bytes):
            requestBody = RequestBody(bytes)
            owesContinue = false
            hasRequestBody = bytes.readableBytes > 0
        case .coming(let length):
            let stream = InboundStream(length: length, capacity: core.limits.bufferedBytes) { [weak self, exchange] in
                self?.onLoop { $0.bodyIsWanted(exchange) }
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
        // A handler that never waited has answered already.
        if exchange == self.exchange, exchange != answered { self.worker = worker }
    }

    private func bodyIsWanted(_ exchange: Int) {
        guard exchange == self.exchange else { return }
        writeContinue()
        machine.bodyWanted(true)
        process()
        readIfWanted()
    }

    private func writeContinue() {
        guard owesContinue else { return }
        owesContinue = false
        writeOut(Self.continueHead)
        flushIfNeeded()
    }

    private static let continueHead = ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")

    /// Reads from the channel as long as someone wants what it brings.
    private func readIfWanted() {
        let isWanted = upgraded?.hasRoom ?? machine.wantsRead
        guard isWanted != isReading else { return }
        isReading = isWanted
        try? channelContext?.channel.syncOptions?.setOption(.autoRead, value: isWanted)
    }

    private func reject(_ error: HTTP1Error) {
        _ = machine.linger()
        // There is no request: nothing of the one before may shape the answer.
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

    /// Ends the sending side, so that the peer can read the response before the connection is reset.
    private func closeAfterLastResponse() {
        guard !isOutputClosed else { return }
        isOutputClosed = true
        if case .close = machine.linger() { return closeWhenWritten() }
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
        answered = exchange
        // It goes on to requests of others, which are not this connection's to cancel.
        worker = nil
    }

    private func isStreamed(_ response: Response) -> Bool {
        if response.upgrade != nil { return true }
        return if case .stream = response.body { sendsBody(of: response) } else { false }
    }

    private func deliverStream(_ response: Response) async {
        if owesContinue {
            // The producer may read the body yet, and no 100 can be sent once the head is out.
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
            // The head is out, so the only way left to say that the body is not whole is to end the connection.
            core.log(cutOff: error)
            closeWhenWritten()
        }
    }

    private func endResponse(keepAlive: Bool) {
        worker = nil
        drainAction = nil
        body?.finish(throwing: AppError(.cancelled, "The response is out; the body is no longer read."))
        body = nil
        // Within a read it is as late as when the read began.
        perform(machine.endResponse(keepAlive: keepAlive, now: isInRead ? machine.now : .now()))
        process()
        readIfWanted()
    }

    private func upgrade(_ response: Response, _ upgrade: Upgrade) async {
        guard !isVersion10, !hasRequestBody else {
            // Bytes of a body would be taken for the other protocol's (RFC 9110 §7.8).
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

    /// The reader of the upgraded connection has room again.
    func upgradedWantsBytes() {
        upgraded?.makeRoom()
        readIfWanted()
    }

    /// Runs at once when already on the event loop, soon on it otherwise.
    func onLoop(_ work: @escaping @Sendable (HTTP1Connection) -> Void) {
        if loop.eventLoop.inEventLoop {
            work(self)
        } else {
            loop.executor.execute { work(self) }
        }
    }
}
