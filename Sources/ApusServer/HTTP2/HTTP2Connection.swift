import ApusCore
import ApusHTTP
import NIOCore
import NIOHPACK

/// An HTTP/2 connection: its channel, its streams, its timeouts and its shutdown. Performs what its state machine
/// decides. Extensions contain the processing of received frames and flow-controlled output.
///
/// Streams are objects in a table, not channels: a request costs a third of what it would with a channel of its own.
///
/// `@unchecked Sendable`: every stored property is accessed only on the channel's event loop; calls from other threads
/// go through ``onLoop(_:)``. Exclusivity checks are disabled where every frame would pay for them: no access to such a
/// property spans a call to other code.
final class HTTP2Connection: ChannelInboundHandler, Connection, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let core: ServerCore
    let loop: LoopState
    let peer: Peer
    let output: HTTP2Output
    @exclusivity(unchecked) var machine: HTTP2ConnectionStateMachine
    @exclusivity(unchecked) var streams = StreamTable()
    @exclusivity(unchecked) var sendWindow = SendWindow()
    @exclusivity(unchecked) var decoder: HPACKDecoder
    @exclusivity(unchecked) private var reader: FrameReader
    /// The streams whose request waits for its body until the end of the read.
    @exclusivity(unchecked) var pendingStreams: [HTTP2Stream] = []
    /// Whether the channel accepts more bytes without queueing them.
    @exclusivity(unchecked) private(set) var isWritable = true
    @exclusivity(unchecked) private var isInRead = false
    @exclusivity(unchecked) private var readAt = NIODeadline.now()
    private(set) var channelContext: ChannelHandlerContext?

    private init(core: ServerCore, loop: LoopState, peer: Peer) {
        self.core = core
        self.loop = loop
        self.peer = peer
        output = HTTP2Output(loop)
        machine = HTTP2ConnectionStateMachine(core.limits, now: .now())
        reader = FrameReader(maximumBlockSize: 2 * core.limits.headBytes)
        decoder = HPACKDecoder(
            allocator: ByteBufferAllocator(), maxDynamicTableSize: HPACKDecoder.maxDynamicTableSize,
            maxHeaderListSize: core.limits.headBytes)
    }

    // MARK: Setting up

    /// Adds an HTTP/2 connection to the end of a pipeline.
    static func add(
        to pipeline: ChannelPipeline.SynchronousOperations, core: ServerCore, loop: LoopState, peer: Peer
    ) throws {
        try pipeline.addHandler(HTTP2Connection(core: core, loop: loop, peer: peer))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        channelContext = context
        output.attach(context)
        loop.add(self)
        if context.channel.isActive { begin() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        if loop.remove(self) { core.connectionClosed() }
        channelContext = nil
        output.detach()
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        begin()
    }

    private func begin() {
        let limits = core.limits
        let settings: [(HTTP2Setting, Int)] = [
            (.concurrentStreams, limits.concurrentStreams), (.initialWindow, limits.bufferedBytes),
            (.headerList, limits.headBytes), (.connectProtocol, 1),
        ]
        let growth = HTTP2ConnectionStateMachine.maximumReceived - HTTP2ConnectionStateMachine.defaultWindow
        output.write { writer, output in
            writer.settings(
                settings.map { .init(identifier: $0.rawValue, value: UInt32(clamping: $1)) }, to: &output)
            writer.windowUpdate(0, by: growth, to: &output)
        }
        flushSoon()
        if core.isDraining { drain() }
    }

    // MARK: Channel events

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !machine.hasFailed else { return }
        if !isInRead {
            readAt = .now()
            isInRead = true
            machine.received(now: readAt)
        }
        reader.append(unwrapInboundIn(data))
        do throws(HTTP2Failure) {
            while !machine.hasFailed, let frame = try reader.next() { try receive(frame) }
        } catch {
            fail(error)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        startPendingStreams()
        isInRead = false
        output.flush()
        updateWritability(context)
    }

    private func startPendingStreams() {
        guard !pendingStreams.isEmpty else { return }
        let streams = pendingStreams
        pendingStreams.removeAll(keepingCapacity: true)
        for stream in streams { stream.startPending() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        updateWritability(context)
        context.fireChannelWritabilityChanged()
    }

    private func updateWritability(_ context: ChannelHandlerContext) {
        guard isWritable != context.channel.isWritable else { return }
        isWritable.toggle()
        // A client that does not read its responses must not send more requests.
        try? context.channel.syncOptions?.setOption(.autoRead, value: isWritable)
        guard isWritable else { return }
        sendWaiting()
        flushSoon()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent {
            perform(machine.inputClosed())
            for stream in streams.streams { stream.inputClosed() }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if loop.remove(self) { core.connectionClosed() }
        let open = streams
        streams = StreamTable()
        for stream in open.streams { stream.closed(wasAborted: true) }
        // The streams and actions retain this connection.
        sendWindow.removeAll()
        output.discardAll()
        pendingStreams = []
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { closeAfterFlush() }

    /// The current time. Within a read, it is the time at which the read began.
    var now: NIODeadline { isInRead ? readAt : .now() }

    /// Flushes at the end of the current read, or immediately outside of one.
    func flushSoon() { if !isInRead { output.flush() } }

    // MARK: Streams

    /// Resets a stream.
    func reset(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
        guard !stream.machine.isClosed else { return }
        output.write { writer, output in writer.reset(stream.id, code, to: &output) }
        close(stream, wasAborted: true)
        flushSoon()
    }

    /// Closes a stream that has ended on both sides.
    func closeIfDone(_ stream: HTTP2Stream) {
        if stream.machine.isDone { close(stream, wasAborted: false) }
    }

    func close(_ stream: HTTP2Stream, wasAborted: Bool) {
        guard streams.remove(stream.id) != nil else { return }
        let action = machine.closedStream(stream.id, wasAborted: wasAborted, now: now)
        sendWindow.remove(stream)
        stream.closed(wasAborted: wasAborted)
        perform(action)
    }

    /// Called when bytes of bodies were read or discarded. Returns them to the window of the connection.
    func consumed(_ bytes: Int) {
        if let increment = machine.consumed(bytes) { extendWindow(of: 0, by: increment) }
    }

    /// Extends the window of a stream, or of the connection (stream 0), because bytes of a body were read.
    func extendWindow(of id: UInt32, by bytes: Int) {
        output.write { writer, output in writer.windowUpdate(id, by: bytes, to: &output) }
        flushSoon()
    }

    // MARK: Timeouts and shutdown

    func tick(now: NIODeadline, elapsed: TimeAmount) {
        for stream in streams.streams {
            stream.tick(now: now, elapsed: elapsed)
            // A client that has closed its sending side can no longer open a window.
            if machine.isInputClosed, isBlocked(stream) { reset(stream, .cancel) }
        }
        perform(machine.tick(now: now, isWritable: isWritable, hasUnsentBytes: queuedBytes > 0))
    }

    private var queuedBytes: Int {
        (try? channelContext?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    func perform(_ action: HTTP2ConnectionStateMachine.Action) {
        switch action {
        case .none: break
        case .ping: ping(HTTP2ConnectionStateMachine.keepalivePing)
        case .announceShutdown:
            goAway(last: 0x7FFF_FFFF, .noError)
            ping(HTTP2ConnectionStateMachine.shutdownPing)
        case .goAway(let last, let closes):
            goAway(last: last, .noError)
            flushSoon()
            if closes { closeAfterFlush() }
        case .close: closeAfterFlush()
        case .abort: abort()
        }
    }

    func drain() {
        for stream in streams.streams { stream.drain() }
        perform(machine.drain())
    }

    func drainUpgraded() -> Int { streams.streams.reduce(0) { $0 + $1.drainUpgraded() } }

    private func ping(_ data: UInt64) {
        output.write { writer, output in writer.ping(data, isAcknowledgement: false, to: &output) }
        flushSoon()
    }

    private func goAway(last: UInt32, _ code: HTTP2ErrorCode, _ reason: String = "") {
        output.write { writer, output in writer.goAway(last: last, code, reason, to: &output) }
    }

    private func fail(_ failure: HTTP2Failure) {
        machine.fail()
        goAway(last: machine.lastStreamID, failure.code, failure.reason)
        // A client that violates the protocol can no longer receive its responses.
        for stream in streams.streams { close(stream, wasAborted: true) }
        closeAfterFlush()
    }

    /// Closes the sending side once everything written has been sent. The connection follows when the peer closes it,
    /// or shortly after.
    private func closeAfterFlush() {
        guard machine.close(now: .now()) else { return }
        // Deferred, because the callers may still write.
        loop.executor.execute { self.closeOutput() }
    }

    private func closeOutput() {
        output.flush()
        guard let channelContext else { return }
        // Waits for everything that is queued in the channel: closing it discards that if the client has closed its
        // side.
        let written = channelContext.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in
            // Deferred, because a channel that is closed while it writes discards what closing adds: TLS's close_notify.
            self.loop.eventLoop.execute {
                let closesBoth = self.machine.closedOutput()
                self.channelContext?.close(mode: closesBoth ? .all : .output, promise: nil)
            }
        }
        channelContext.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
    }

    /// Runs work immediately if called on the event loop; otherwise schedules it there.
    func onLoop(_ work: @escaping @Sendable (HTTP2Connection) -> Void) {
        if loop.eventLoop.inEventLoop {
            work(self)
        } else {
            loop.executor.execute { work(self) }
        }
    }
}
