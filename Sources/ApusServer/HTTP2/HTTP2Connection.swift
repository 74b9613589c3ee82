import ApusCore
import ApusHTTP
import NIOCore
import NIOHPACK

/// An HTTP/2 connection: its channel, its streams, its timeouts and its shutdown. Extensions contain the processing of
/// received frames and the output.
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
    @exclusivity(unchecked) var channelContext: ChannelHandlerContext?
    @exclusivity(unchecked) var streams = StreamTable()
    @exclusivity(unchecked) var lifetime: ConnectionLifetime
    @exclusivity(unchecked) var sending: SendState
    @exclusivity(unchecked) private var reader: FrameReader
    @exclusivity(unchecked) var decoder: HPACKDecoder
    var floodGate = FloodGate(now: .now())
    /// The streams whose request waits for its body until the end of the read.
    @exclusivity(unchecked) var pendingStreams: [HTTP2Stream] = []
    @exclusivity(unchecked) var lastStreamID: UInt32 = 0
    /// The streams that were reset most recently. Frames for them that were in transit are ignored.
    var recentlyReset = CircularBuffer<UInt32>(initialCapacity: 1)
    @exclusivity(unchecked) private(set) var isInRead = false
    @exclusivity(unchecked) private var readAt = NIODeadline.now()
    /// Whether the client has acknowledged the server's settings.
    var hasAcknowledgedSettings = false
    /// How many bytes the client may still send, all bodies together.
    @exclusivity(unchecked) var window = HTTP2Connection.connectionWindow
    /// The number of bytes of bodies that were read but not yet returned to the window.
    @exclusivity(unchecked) private var consumedBytes = 0
    /// The time since which the connection has had no streams; `nil` if it has any.
    @exclusivity(unchecked) var idleSince: NIODeadline? = .now()
    /// The progress of the shutdown: 0 before it, 1 once it is announced, 2 once no more requests are accepted.
    var drainSteps = 0
    /// The time since which the connection has only waited for the peer to close it.
    private var closingSince: NIODeadline?
    /// Whether the client has closed its sending side.
    private var isInputClosed = false
    private var isOutputClosed = false
    /// Whether the client was told of a connection error. Nothing more is read from it.
    private var hasFailed = false
    /// When the window that all streams share was last changed.
    var lastWindowChange = NIODeadline.now()

    private static let maximumRecentlyReset = 256

    private init(core: ServerCore, loop: LoopState, peer: Peer) {
        self.core = core
        self.loop = loop
        self.peer = peer
        lifetime = ConnectionLifetime(core.limits, now: .now())
        sending = SendState()
        reader = FrameReader(maximumBlockSize: 2 * core.limits.headBytes)
        decoder = HPACKDecoder(
            allocator: ByteBufferAllocator(), maxDynamicTableSize: HPACKDecoder.maxDynamicTableSize,
            maxHeaderListSize: core.limits.headBytes)
    }

    // MARK: Setting up

    /// How many bytes of all bodies together may be received before they are read.
    private static let connectionWindow = 1 << 20
    /// The default size of a window (RFC 9113 §6.9.2).
    static let initialWindow = 65_535

    /// Adds an HTTP/2 connection to the end of a pipeline.
    static func add(
        to pipeline: ChannelPipeline.SynchronousOperations, core: ServerCore, loop: LoopState, peer: Peer
    ) throws {
        try pipeline.addHandler(HTTP2Connection(core: core, loop: loop, peer: peer))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        channelContext = context
        loop.add(self)
        if context.channel.isActive { begin() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        if loop.remove(self) { core.connectionClosed() }
        channelContext = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        begin()
    }

    private func begin() {
        let limits = core.limits
        let settings: [(Setting, Int)] = [
            (.concurrentStreams, limits.concurrentStreams), (.initialWindow, limits.bufferedBytes),
            (.headerList, limits.headBytes), (.connectProtocol, 1),
        ]
        write { writer, output in
            writer.settings(
                settings.map { .init(identifier: $0.rawValue, value: UInt32(clamping: $1)) }, to: &output)
            writer.windowUpdate(0, by: Self.connectionWindow - Self.initialWindow, to: &output)
        }
        flushSoon()
        if core.isDraining { drain() }
    }

    /// Identifiers of settings (RFC 9113 §6.5.2, RFC 8441 §3).
    enum Setting: UInt16 {
        case tableSize = 1
        case push = 2
        case concurrentStreams = 3
        case initialWindow = 4
        case maximumFrameSize = 5
        case headerList = 6
        case connectProtocol = 8
    }

    // MARK: Channel events

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasFailed else { return }
        if !isInRead {
            readAt = .now()
            isInRead = true
            lifetime.receivedBytes(now: readAt)
        }
        reader.append(unwrapInboundIn(data))
        do throws(HTTP2Failure) {
            while !hasFailed, let frame = try reader.next() { try receive(frame) }
        } catch {
            fail(error)
        }
    }

    private func startPendingStreams() {
        guard !pendingStreams.isEmpty else { return }
        let streams = pendingStreams
        pendingStreams.removeAll(keepingCapacity: true)
        for stream in streams { stream.startPending() }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        startPendingStreams()
        isInRead = false
        flushIfNeeded()
        updateWritability(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        updateWritability(context)
        context.fireChannelWritabilityChanged()
    }

    private func updateWritability(_ context: ChannelHandlerContext) {
        guard sending.isWritable != context.channel.isWritable else { return }
        sending.isWritable.toggle()
        // A client that does not read its responses must not send more requests.
        try? context.channel.syncOptions?.setOption(.autoRead, value: sending.isWritable)
        guard sending.isWritable else { return }
        sendWaiting()
        flushSoon()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { inputClosed() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if loop.remove(self) { core.connectionClosed() }
        let open = streams
        streams = StreamTable()
        for stream in open.streams { stream.closed(wasAborted: true) }
        // The streams and actions retain this connection.
        sending.discardAll()
        pendingStreams = []
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { closeAfterFlush() }

    /// Called when the peer has closed its sending side. It may still read, so complete requests are answered.
    private func inputClosed() {
        isInputClosed = true
        drainSteps = 2
        if isOutputClosed { return abort() }
        if streams.isEmpty { return closeAfterFlush() }
        for stream in streams.streams { stream.inputClosed() }
    }

    /// The current time. Within a read, it is the time at which the read began.
    var now: NIODeadline { isInRead ? readAt : .now() }

    // MARK: Streams

    /// Resets a stream.
    func reset(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
        guard !stream.isClosed else { return }
        write { writer, output in writer.reset(stream.id, code, to: &output) }
        close(stream, wasAborted: true)
        flushSoon()
    }

    /// Closes a stream that has ended on both sides.
    func closeIfDone(_ stream: HTTP2Stream) {
        if stream.isRemoteEnded, stream.hasSentEnd { close(stream, wasAborted: false) }
    }

    func close(_ stream: HTTP2Stream, wasAborted: Bool) {
        guard streams.remove(stream.id) != nil else { return }
        if wasAborted { recordReset(of: stream.id) }
        if stream.sending.isWaiting { sending.remove(stream) }
        stream.closed(wasAborted: wasAborted)
        if streams.isEmpty { becomeIdle() }
    }

    func recordReset(of id: UInt32) {
        if recentlyReset.count == Self.maximumRecentlyReset { recentlyReset.removeFirst() }
        recentlyReset.append(id)
    }

    private func becomeIdle() {
        idleSince = now
        if drainSteps == 2 { closeAfterFlush() }
    }

    /// Called when bytes of bodies were read or discarded. Returns them to the window of the connection.
    func consumed(_ bytes: Int) {
        consumedBytes += bytes
        guard consumedBytes > Self.connectionWindow / 4 else { return }
        let increment = consumedBytes
        window += increment
        consumedBytes = 0
        write { writer, output in writer.windowUpdate(0, by: increment, to: &output) }
        flushSoon()
    }

    /// Increases the window of a stream, because bytes of its body were read.
    func extendWindow(of id: UInt32, by bytes: Int) {
        write { writer, output in writer.windowUpdate(id, by: bytes, to: &output) }
        flushSoon()
    }

    // MARK: Timeouts and shutdown

    func tick(now: NIODeadline, elapsed: TimeAmount) {
        for stream in streams.streams {
            stream.tick(now: now, elapsed: elapsed)
            // A client that has closed its sending side can no longer open a window.
            if isInputClosed, isBlocked(stream) { reset(stream, .cancel) }
        }
        // While reading is paused, the acknowledgement of a ping would not be seen. Instead, the client shows that it is
        // alive by accepting output.
        if !sending.isWritable { lifetime.receivedBytes(now: now) }
        if drainSteps == 1 { finishDraining() }
        switch lifetime.tick(now: now, hasStreams: !streams.isEmpty) {
        case .none: break
        case .ping:
            write { writer, output in writer.ping(Self.keepalivePing, isAcknowledgement: false, to: &output) }
            flushSoon()
        case .retire: announceShutdown()
        case .abort: return abort()
        }
        if let closingSince {
            let limit = queuedBytes > 0 ? TimeAmount(core.limits.idleTimeout) : Self.lingerTime
            if now - closingSince > limit { abort() }
        } else if let idleSince, now - idleSince > TimeAmount(core.limits.idleTimeout) {
            goAway(last: lastStreamID, .noError)
            closeAfterFlush()
        }
    }

    private static let lingerTime = TimeAmount.seconds(2)

    private var queuedBytes: Int {
        (try? channelContext?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// Begins shutdown in two steps (RFC 9113 §6.8): first an announcement, then, when that must have arrived, the last
    /// stream that is processed.
    func drain() {
        for stream in streams.streams { stream.drain() }
        announceShutdown()
    }

    /// The payload of the ping whose acknowledgement shows that the announcement of the shutdown has arrived.
    static let shutdownPing: UInt64 = 1
    /// The payload of the ping that checks whether the client is alive.
    private static let keepalivePing: UInt64 = 2

    /// Announces the shutdown. Requests in transit are still accepted.
    private func announceShutdown() {
        guard drainSteps == 0 else { return }
        drainSteps = 1
        // The highest possible stream: the client should send no more requests, but those in transit are accepted.
        goAway(last: 0x7FFF_FFFF, .noError)
        write { writer, output in writer.ping(Self.shutdownPing, isAcknowledgement: false, to: &output) }
        flushSoon()
    }

    func finishDraining() {
        guard drainSteps == 1 else { return }
        drainSteps = 2
        goAway(last: lastStreamID, .noError)
        flushSoon()
        if streams.isEmpty { closeAfterFlush() }
    }

    private func goAway(last: UInt32, _ code: HTTP2ErrorCode, _ reason: String = "") {
        write { writer, output in writer.goAway(last: last, code, reason, to: &output) }
    }

    private func fail(_ failure: HTTP2Failure) {
        hasFailed = true
        goAway(last: lastStreamID, failure.code, failure.reason)
        // A client that violates the protocol can no longer receive its responses.
        for stream in streams.streams { close(stream, wasAborted: true) }
        closeAfterFlush()
    }

    func drainUpgraded() -> Int { streams.streams.reduce(0) { $0 + $1.drainUpgraded() } }

    func abort() { channelContext?.close(promise: nil) }

    /// Closes the sending side once everything written has been sent. The connection follows when the peer closes it,
    /// or shortly after.
    private func closeAfterFlush() {
        guard closingSince == nil else { return }
        closingSince = .now()
        // Requests from here on are refused, so the client may retry them elsewhere.
        drainSteps = 2
        // Deferred, because the callers may still write.
        loop.executor.execute { self.closeOutput() }
    }

    private func closeOutput() {
        flushIfNeeded()
        guard let channelContext else { return }
        // Waits for everything that is queued in the channel: closing it discards that if the client has closed its
        // side.
        let written = channelContext.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in
            self.isOutputClosed = true
            self.channelContext?.close(mode: self.isInputClosed ? .all : .output, promise: nil)
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
