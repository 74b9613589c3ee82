import ApusCore
import ApusHTTP
import NIOCore
import NIOHPACK

/// One HTTP/2 connection: its channel, its streams, its clocks and its end.
///
/// Streams are objects in a table, not channels: a request costs a third of what a channel of its own would. What frames do to
/// it is in one extension, what it sends in another.
///
/// `@unchecked Sendable`: every stored property is touched on the channel's event loop alone; what may call from elsewhere
/// goes through ``onLoop(_:)``. The checks for access from within an access are left out where every frame would pay for them:
/// no such property is held while anything else is called.
final class HTTP2Connection: ChannelInboundHandler, Connection, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let core: ServerCore
    let loop: LoopState
    let peer: Peer
    @exclusivity(unchecked) var channelContext: ChannelHandlerContext?
    @exclusivity(unchecked) var streams = StreamTable()
    @exclusivity(unchecked) var life: ConnectionLife
    @exclusivity(unchecked) var sending: SendState
    @exclusivity(unchecked) private var reader: FrameReader
    @exclusivity(unchecked) var decoder: HPACKDecoder
    var gate = FloodGate(now: .now())
    /// Those whose request awaits its body, as long as the read lasts.
    @exclusivity(unchecked) var awaiting: [HTTP2Stream] = []
    @exclusivity(unchecked) var lastStreamID: UInt32 = 0
    /// The latest that were cut off: what the client sent before it knew of that means nothing.
    var recentlyReset = CircularBuffer<UInt32>(initialCapacity: 1)
    @exclusivity(unchecked) private(set) var isInRead = false
    @exclusivity(unchecked) private var readAt = NIODeadline.now()
    /// Whether the client has seen our settings.
    var hasSettingsAcknowledged = false
    /// How much the client may still send of all bodies together.
    @exclusivity(unchecked) var window = HTTP2Connection.connectionWindow
    /// Bytes of bodies that were read and not yet allowed for anew.
    @exclusivity(unchecked) private var consumedBytes = 0
    /// Since when there is no stream, if there is none.
    @exclusivity(unchecked) var idleSince: NIODeadline? = .now()
    var drainSteps = 0
    /// Since when only the peer's goodbye is awaited.
    private var closingSince: NIODeadline?
    /// Whether the client has ended its side.
    private var isInputClosed = false
    private var isOutputClosed = false
    /// Whether the client was told that it does not speak HTTP/2: what it says then is not read.
    private var hasFailed = false
    /// When a window of the peer last changed that all streams share.
    var lastWindowChange = NIODeadline.now()

    private static let mostRecentlyReset = 256

    private init(core: ServerCore, loop: LoopState, peer: Peer) {
        self.core = core
        self.loop = loop
        self.peer = peer
        life = ConnectionLife(core.limits, now: .now())
        sending = SendState()
        reader = FrameReader(largestBlock: 2 * core.limits.headBytes)
        decoder = HPACKDecoder(
            allocator: ByteBufferAllocator(), maxDynamicTableSize: HPACKDecoder.maxDynamicTableSize,
            maxHeaderListSize: core.limits.headBytes)
    }

    // MARK: Setting up

    /// How many bytes of all bodies of a connection may be on their way to their readers.
    private static let connectionWindow = 1 << 20
    /// What holds for windows as long as nothing else is said (RFC 9113 §6.9.2).
    static let initialWindow = 65_535

    /// Adds HTTP/2 to the end of a pipeline.
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
        case largestFrame = 5
        case headerList = 6
        case connectProtocol = 8
    }

    // MARK: The channel

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasFailed else { return }
        if !isInRead {
            readAt = .now()
            isInRead = true
            life.read(now: readAt)
        }
        reader.append(unwrapInboundIn(data))
        do throws(HTTP2Failure) {
            while !hasFailed, let frame = try reader.next() { try receive(frame) }
        } catch {
            fail(error)
        }
    }

    private func startAwaiting() {
        guard !awaiting.isEmpty else { return }
        let streams = awaiting
        awaiting.removeAll(keepingCapacity: true)
        for stream in streams { stream.startAwaited() }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        startAwaiting()
        isInRead = false
        flushIfNeeded()
        lookAtWritability(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        lookAtWritability(context)
        context.fireChannelWritabilityChanged()
    }

    private func lookAtWritability(_ context: ChannelHandlerContext) {
        guard sending.isWritable != context.channel.isWritable else { return }
        sending.isWritable.toggle()
        // A client that does not read what it has asked for is not to ask for more.
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
        for stream in open.streams { stream.closed(wasCut: true) }
        // They hold this connection.
        sending.forgetAll()
        awaiting = []
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { closeWhenWritten() }

    /// The peer sends no more. It may still read, so what it has asked for whole is answered.
    private func inputClosed() {
        isInputClosed = true
        drainSteps = 2
        if isOutputClosed { return abort() }
        if streams.isEmpty { return closeWhenWritten() }
        for stream in streams.streams { stream.inputClosed() }
    }

    /// The time; within a read, that of its beginning.
    var now: NIODeadline { isInRead ? readAt : .now() }

    // MARK: Streams

    /// Cuts a stream off.
    func reset(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
        guard !stream.isClosed else { return }
        write { writer, output in writer.reset(stream.id, code, to: &output) }
        close(stream, wasCut: true)
        flushSoon()
    }

    /// Both sides have said all.
    func closeIfDone(_ stream: HTTP2Stream) {
        if stream.isRemoteEnded, stream.hasSentEnd { close(stream, wasCut: false) }
    }

    func close(_ stream: HTTP2Stream, wasCut: Bool) {
        guard streams.remove(stream.id) != nil else { return }
        if wasCut { note(reset: stream.id) }
        if stream.sending.isWaiting { sending.forget(stream) }
        stream.closed(wasCut: wasCut)
        if streams.isEmpty { becomeIdle() }
    }

    func note(reset id: UInt32) {
        if recentlyReset.count == Self.mostRecentlyReset { recentlyReset.removeFirst() }
        recentlyReset.append(id)
    }

    private func becomeIdle() {
        idleSince = now
        if drainSteps == 2 { closeWhenWritten() }
    }

    /// The reader of a body took bytes, or they were thrown away: the client may send as many more.
    func consumed(_ bytes: Int) {
        consumedBytes += bytes
        guard consumedBytes > Self.connectionWindow / 4 else { return }
        let increment = consumedBytes
        window += increment
        consumedBytes = 0
        write { writer, output in writer.windowUpdate(0, by: increment, to: &output) }
        flushSoon()
    }

    /// The reader of a stream's body took bytes: the client may send as many more of it.
    func allow(_ bytes: Int, of id: UInt32) {
        write { writer, output in writer.windowUpdate(id, by: bytes, to: &output) }
        flushSoon()
    }

    // MARK: Clocks and the end

    func tick(now: NIODeadline, elapsed: TimeAmount) {
        for stream in streams.streams {
            stream.tick(now: now, elapsed: elapsed)
            // A client that has ended its side allows for nothing any more.
            if isInputClosed, isBlocked(stream) { reset(stream, .cancel) }
        }
        // A client that is not read from cannot show that it is there: what it takes shows it.
        if !sending.isWritable { life.read(now: now) }
        if drainSteps == 1 { finishDraining() }
        switch life.tick(now: now, hasStreams: !streams.isEmpty) {
        case .none: break
        case .ping:
            write { writer, output in writer.ping(Self.question, isAcknowledgement: false, to: &output) }
            flushSoon()
        case .retire: sayGoodbye()
        case .abort: return abort()
        }
        if let closingSince {
            let limit = queuedBytes > 0 ? TimeAmount(core.limits.idleTimeout) : Self.lingerTime
            if now - closingSince > limit { abort() }
        } else if let idleSince, now - idleSince > TimeAmount(core.limits.idleTimeout) {
            goAway(last: lastStreamID, .noError)
            closeWhenWritten()
        }
    }

    private static let lingerTime = TimeAmount.seconds(2)

    private var queuedBytes: Int {
        (try? channelContext?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// Two steps (RFC 9113 §6.8): first all are told to stop, then, when that must have arrived, which were the last.
    func drain() {
        for stream in streams.streams { stream.drain() }
        sayGoodbye()
    }

    /// What pings carry: one whose answer shows that the goodbye has arrived, and one that asks whether the client is there.
    static let goodbye: UInt64 = 1
    private static let question: UInt64 = 2

    private func sayGoodbye() {
        guard drainSteps == 0 else { return }
        drainSteps = 1
        // With the highest stream there can be: no new requests, please, but what is on its way is taken.
        goAway(last: 0x7FFF_FFFF, .noError)
        write { writer, output in writer.ping(Self.goodbye, isAcknowledgement: false, to: &output) }
        flushSoon()
    }

    func finishDraining() {
        guard drainSteps == 1 else { return }
        drainSteps = 2
        goAway(last: lastStreamID, .noError)
        flushSoon()
        if streams.isEmpty { closeWhenWritten() }
    }

    private func goAway(last: UInt32, _ code: HTTP2ErrorCode, _ reason: String = "") {
        write { writer, output in writer.goAway(last: last, code, reason, to: &output) }
    }

    private func fail(_ failure: HTTP2Failure) {
        hasFailed = true
        goAway(last: lastStreamID, failure.code, failure.reason)
        // Nothing of what it asked for reaches a client that does not understand the protocol.
        for stream in streams.streams { close(stream, wasCut: true) }
        closeWhenWritten()
    }

    func drainUpgraded() -> Int { streams.streams.reduce(0) { $0 + $1.drainUpgraded() } }

    func abort() { channelContext?.close(promise: nil) }

    /// Ends the sending side once what was written has gone out; the rest follows when the peer has seen it, or soon.
    private func closeWhenWritten() {
        guard closingSince == nil else { return }
        closingSince = .now()
        // What comes now was not promised an answer, and may be asked again elsewhere.
        drainSteps = 2
        // Not at once: what is on the stack may have more to say.
        loop.executor.execute { self.closeOutput() }
    }

    private func closeOutput() {
        flushIfNeeded()
        guard let channelContext else { return }
        // After all that waits in the channel: to close it throws that away once the client has closed its side.
        let written = channelContext.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in
            self.isOutputClosed = true
            self.channelContext?.close(mode: self.isInputClosed ? .all : .output, promise: nil)
        }
        channelContext.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
    }

    /// Runs at once when already on the event loop, soon on it otherwise.
    func onLoop(_ work: @escaping @Sendable (HTTP2Connection) -> Void) {
        if loop.eventLoop.inEventLoop {
            work(self)
        } else {
            loop.executor.execute { work(self) }
        }
    }
}
