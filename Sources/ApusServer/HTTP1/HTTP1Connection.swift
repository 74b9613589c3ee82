import ApusCore
import ApusHTTP
import NIOCore

/// An HTTP/1.1 connection: its channel, its timeouts and its shutdown. Extensions contain the handling of requests, the
/// responses, and the upgrade to another protocol.
///
/// `@unchecked Sendable`: every stored property is accessed only on the channel's event loop. The tasks of requests
/// also run there, through their executor preference; calls from other threads go through ``onLoop(_:)``. No access to
/// a property overlaps with another: the state machine and the exchange are values that call no other code. So
/// exclusivity checks are disabled where every request would pay for them.
final class HTTP1Connection: ChannelInboundHandler, Connection, RequestWorker.Owner, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let core: ServerCore
    let loop: LoopState
    let peer: Peer
    let output: HTTP1Output
    @exclusivity(unchecked) var machine: HTTP1StateMachine
    @exclusivity(unchecked) var exchange = HTTP1Exchange()
    @exclusivity(unchecked) var upgraded: HTTP1ByteStream?
    @exclusivity(unchecked) private(set) var channelContext: ChannelHandlerContext?
    var waitingWriters = WaitingWriters()
    @exclusivity(unchecked) private var isProcessing = false
    @exclusivity(unchecked) private(set) var isInRead = false
    @exclusivity(unchecked) private var isReading = true
    private var isOutputClosed = false

    /// - Parameter headSince: When the first byte of the connection was received, if it has been.
    init(core: ServerCore, loop: LoopState, peer: Peer, headSince: NIODeadline?) {
        self.core = core
        self.loop = loop
        self.peer = peer
        output = HTTP1Output(loop)
        machine = HTTP1StateMachine(limits: core.limits, now: .now(), headSince: headSince)
    }

    // MARK: Channel events

    /// Called for a channel that is active: the protocol has been negotiated.
    func handlerAdded(context: ChannelHandlerContext) {
        channelContext = context
        loop.add(self)
        output.attach(to: context, isEncrypted: peer.isSecure)
        if core.isDraining { drain() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        unregister()
        channelContext = nil
        output.detach()
        upgraded = nil
    }

    private func unregister() {
        if loop.remove(self) { core.connectionClosed() }
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
        output.flush()
        readIfWanted()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        let isWritable = context.channel.isWritable
        machine.writabilityChanged(isWritable)
        guard isWritable else { return }
        waitingWriters.resumeAll()
        process()
        readIfWanted()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
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
        exchange.body.take()?.finish(throwing: RequestError.truncated.appError)
        upgraded?.finish()
        exchange.worker.take()?.cancel()
        waitingWriters.resumeAll(throwing: AppError.connectionClosed)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    /// Runs work immediately if called on the event loop; otherwise schedules it there.
    func onLoop(_ work: @escaping @Sendable (HTTP1Connection) -> Void) {
        if loop.eventLoop.inEventLoop {
            work(self)
        } else {
            loop.executor.execute { work(self) }
        }
    }

    // MARK: Actions

    /// Performs the actions of the state machine until it waits. Nested calls leave the work to the outermost one.
    func process() {
        guard !isProcessing else { return }
        isProcessing = true
        defer { isProcessing = false }
        while true {
            let action = machine.next()
            if case .wait = action { break }
            perform(action)
        }
        if machine.isLingering { closeAfterLastResponse() }
        if machine.isAbandonedByPeer { exchange.worker?.cancel() }
        if !isInRead { output.flush() }
    }

    func perform(_ action: HTTP1StateMachine.Action) {
        switch action {
        case .wait: if machine.isLingering { closeAfterLastResponse() }
        case .start(let head, let body): start(head, body)
        case .deliver(let bytes): if let body = exchange.body, !body.push(bytes) { machine.bodyWanted(false) }
        case .endBody(let trailers): exchange.body.take()?.finish(trailers: trailers)
        case .failBody(let error): exchange.body.take()?.finish(throwing: error.appError)
        case .reject(let error): reject(error)
        case .close: closeAfterFlush()
        }
    }

    /// Starts or stops reading from the channel, depending on whether more bytes are wanted.
    func readIfWanted() {
        let isWanted = upgraded?.hasRoom ?? machine.wantsRead
        guard isWanted != isReading else { return }
        isReading = isWanted
        try? channelContext?.channel.syncOptions?.setOption(.autoRead, value: isWanted)
    }

    // MARK: Timeouts and shutdown

    func tick(now: NIODeadline, elapsed: TimeAmount) {
        let pending = output.pendingBytes
        let sent = output.writtenBytes - pending
        switch machine.tick(now: now, elapsed: elapsed, pendingBytes: pending, sentBytes: sent) {
        case .none: break
        case .reject(let error): reject(error)
        case .failBody(let error): exchange.body.take()?.finish(throwing: error.appError)
        case .cancel: exchange.worker?.cancel()
        case .abandon:
            exchange.worker.take()?.cancel()
            exchange.body.take()?.finish(throwing: Deadline.exceeded)
            write(problem: Deadline.exceeded, status: Deadline.exceeded.httpStatus)
            closeAfterLastResponse()
        case .close: abort()
        }
    }

    /// Begins shutdown: an idle connection closes immediately, any other after its response.
    func drain() {
        exchange.drainAction.take()?()
        perform(machine.drain())
    }

    /// Closes the sending side, so that the peer can read the response before the connection is reset.
    func closeAfterLastResponse() {
        guard !isOutputClosed else { return }
        isOutputClosed = true
        if case .close = machine.linger() { return closeAfterFlush() }
        output.flush()
        channelContext?.close(mode: .output, promise: nil)
        readIfWanted()
    }

    /// Closes the connection once everything written has been sent.
    func closeAfterFlush() {
        guard let channelContext else { return }
        output.flush()
        // Writes complete in order, so an empty one completes after all before it. If the peer does not read, it never
        // completes, and a timeout closes the connection.
        let written = channelContext.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in
            // Deferred, because a channel that is closed while it writes discards what closing adds: TLS's close_notify.
            self.loop.eventLoop.execute { self.abort() }
        }
        channelContext.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
    }
}
