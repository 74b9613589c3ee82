import ApusCore
import ApusHTTP
import NIOCore
import NIOHTTP2

/// One HTTP/2 connection: its streams, above the frames that `NIOHTTP2Handler` reads, checks and writes.
///
/// Streams are objects in a table, not channels: a request costs a third of what a channel of its own would.
///
/// `@unchecked Sendable`: every stored property is touched on the channel's event loop alone; what may call from elsewhere
/// goes through ``onLoop(_:)``.
final class HTTP2Connection: ChannelInboundHandler, Connection, @unchecked Sendable {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    let core: ServerCore
    let loop: LoopState
    let peer: Peer
    private var channelContext: ChannelHandlerContext?
    private var streams = StreamTable()
    /// Those whose request awaits its body, as long as the read lasts.
    private var awaiting: [HTTP2Stream] = []
    private var lastStreamID = HTTP2StreamID.rootStream
    private var isInRead = false
    private var readAt = NIODeadline.now()
    private var hasUnflushedFrames = false
    /// Since when there is no stream, if there is none.
    private var idleSince: NIODeadline? = .now()
    private var life: ConnectionLife
    private var drainSteps = 0
    /// Since when only the peer's goodbye is awaited.
    private var closingSince: NIODeadline?
    /// When a window of the peer last changed that all streams share.
    private(set) var lastWindowChange = NIODeadline.now()
    private let frameWatch: FrameWatch
    private let gatherer: FrameGatherer
    /// Bytes of bodies that were read and not yet allowed for anew.
    private var consumedBytes = 0

    private init(core: ServerCore, loop: LoopState, peer: Peer, frameWatch: FrameWatch, gatherer: FrameGatherer) {
        self.core = core
        self.loop = loop
        self.peer = peer
        self.frameWatch = frameWatch
        self.gatherer = gatherer
        life = ConnectionLife(core.limits, now: .now())
    }

    // MARK: Setting up

    /// How many bytes of all bodies of a connection may be on their way to their readers.
    private static let connectionWindow = 1 << 20
    private static let initialConnectionWindow = 65_535

    /// Adds HTTP/2 to the end of a pipeline.
    static func add(
        to pipeline: ChannelPipeline.SynchronousOperations, core: ServerCore, loop: LoopState, peer: Peer
    ) throws {
        let watch = FrameWatch()
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: core.limits.concurrentStreams),
            HTTP2Setting(parameter: .initialWindowSize, value: core.limits.bufferedBytes),
            HTTP2Setting(parameter: .maxHeaderListSize, value: core.limits.headBytes),
            HTTP2Setting(parameter: .enableConnectProtocol, value: 1),
        ]
        // Checked as they are read, which is faster.
        configuration.headerBlockValidation = .disabled
        configuration.contentLengthValidation = .disabled
        let frames = NIOHTTP2Handler(mode: .server, frameDelegate: watch, connectionConfiguration: configuration)
        let gatherer = FrameGatherer(loop: loop)
        let connection = HTTP2Connection(core: core, loop: loop, peer: peer, frameWatch: watch, gatherer: gatherer)
        try pipeline.addHandlers([gatherer, frames, connection])
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
        let increment = Self.connectionWindow - Self.initialConnectionWindow
        write(HTTP2Frame(streamID: .rootStream, payload: .windowUpdate(windowSizeIncrement: increment)))
        if core.isDraining { drain() }
    }

    // MARK: Frames

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        if !isInRead {
            readAt = .now()
            isInRead = true
            life.read(now: readAt)
        }
        switch frame.payload {
        case .headers(let content):
            if let stream = streams[frame.streamID] {
                stream.receive(trailers: content.headers)
            } else {
                let stream = HTTP2Stream(frame.streamID, connection: self)
                streams.append(stream, id: frame.streamID)
                lastStreamID = frame.streamID
                idleSince = nil
                if stream.start(content) { awaiting.append(stream) }
            }
        case .data(let content):
            guard case .byteBuffer(let bytes) = content.data else { return }
            let padding = content.paddingBytes.map { $0 + 1 } ?? 0
            guard let stream = streams[frame.streamID] else { return consumed(bytes.readableBytes + padding) }
            stream.receive(bytes, padding: padding, isEnd: content.endStream)
        case .ping(let data, ack: true): if data == Self.goodbye { finishDraining() }
        case .ping(_, ack: false): if life.pinged(now: now) { endForPings() }
        case .rstStream, .goAway, .settings, .windowUpdate, .priority, .pushPromise, .alternativeService,
            .origin:
            // The frame handler has acted on these; the end of a stream comes as an event.
            break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // By their types, because a cast that fails costs more than all of the rest.
        switch ObjectIdentifier(type(of: event)) {
        case ObjectIdentifier(NIOHTTP2StreamCreatedEvent.self),
            ObjectIdentifier(NIOHTTP2BulkStreamWindowChangeEvent.self):
            break
        case ObjectIdentifier(StreamClosedEvent.self): if let event = event as? StreamClosedEvent { closed(event) }
        case ObjectIdentifier(NIOHTTP2WindowUpdatedEvent.self):
            if let event = event as? NIOHTTP2WindowUpdatedEvent { windowUpdated(event) }
        default:
            if case .some(.inputClosed) = event as? ChannelEvent { inputClosed() }
            context.fireUserInboundEventTriggered(event)
        }
    }

    private func startAwaiting() {
        guard !awaiting.isEmpty else { return }
        let streams = awaiting
        awaiting.removeAll(keepingCapacity: true)
        for stream in streams { stream.startAwaited() }
    }

    private func closed(_ event: StreamClosedEvent) {
        guard let stream = streams.remove(event.streamID) else { return }
        stream.closed(wasCut: event.reason != nil)
        if streams.isEmpty { becomeIdle() }
    }

    private func windowUpdated(_ event: NIOHTTP2WindowUpdatedEvent) {
        if event.streamID == .rootStream {
            lastWindowChange = now
        } else {
            streams[event.streamID]?.windowChanged()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        startAwaiting()
        isInRead = false
        flushIfNeeded()
        if frameWatch.hasFailed { closeWhenWritten() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if loop.remove(self) { core.connectionClosed() }
        let open = streams
        streams = StreamTable()
        for stream in open.streams { stream.closed(wasCut: true) }
        context.fireChannelInactive()
    }

    /// An error of one stream ends that stream, and the frame handler has said so; one of the connection ends it.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if frameWatch.hasFailed || !(error is any NIOHTTP2Error) { closeWhenWritten() }
    }

    private func becomeIdle() {
        idleSince = now
        if drainSteps == 2 { closeWhenWritten() }
    }

    /// The peer sends no more. It may still read, so what it has asked for whole is answered.
    private func inputClosed() {
        drainSteps = 2
        if streams.isEmpty || closingSince != nil { return abort() }
        for stream in streams.streams { stream.inputClosed() }
    }

    /// The time; within a read, that of its beginning.
    var now: NIODeadline { isInRead ? readAt : .now() }

    // MARK: Writing

    /// Sends a part of a response.
    func write(response frame: HTTP2Frame, promise: EventLoopPromise<Void>? = nil) {
        life.wrote()
        write(frame, promise: promise)
    }

    func write(_ frame: HTTP2Frame, promise: EventLoopPromise<Void>? = nil) {
        guard let channelContext else {
            promise?.fail(AppError(.cancelled, "The connection is closed."))
            return
        }
        hasUnflushedFrames = true
        channelContext.write(wrapOutboundOut(frame), promise: promise)
    }

    func makePromise() -> EventLoopPromise<Void>? { channelContext?.eventLoop.makePromise(of: Void.self) }

    /// Flushes when the read has ended, or at once outside of one.
    func flushSoon() { if !isInRead { flushIfNeeded() } }

    private func flushIfNeeded() {
        guard hasUnflushedFrames else { return }
        hasUnflushedFrames = false
        channelContext?.flush()
    }

    /// The reader of a body took bytes, or they were thrown away: the client may send as many more.
    func consumed(_ bytes: Int) {
        consumedBytes += bytes
        guard consumedBytes > Self.connectionWindow / 4 else { return }
        write(HTTP2Frame(streamID: .rootStream, payload: .windowUpdate(windowSizeIncrement: consumedBytes)))
        consumedBytes = 0
        flushSoon()
    }

    // MARK: Clocks and the end

    func tick(now: NIODeadline, elapsed: TimeAmount) {
        for stream in streams.streams { stream.tick(now: now, elapsed: elapsed) }
        if drainSteps == 1 { finishDraining() }
        switch life.tick(now: now, hasStreams: !streams.isEmpty) {
        case .none: break
        case .ping:
            write(HTTP2Frame(streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: 2), ack: false)))
            flushIfNeeded()
        case .retire: sayGoodbye()
        case .abort: return abort()
        }
        if let closingSince {
            let limit = queuedBytes > 0 ? TimeAmount(core.limits.idleTimeout) : Self.lingerTime
            if now - closingSince > limit { abort() }
        } else if let idleSince, now - idleSince > TimeAmount(core.limits.idleTimeout) {
            goAway(last: lastStreamID)
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

    private static let goodbye = HTTP2PingData(withInteger: 1)

    private func sayGoodbye() {
        guard drainSteps == 0 else { return }
        drainSteps = 1
        gatherer.write(frame: Self.warning)
        write(HTTP2Frame(streamID: .rootStream, payload: .ping(Self.goodbye, ack: false)))
        flushIfNeeded()
    }

    /// GOAWAY with the highest stream there can be: no new requests, please, but what is on its way is taken. Not by the
    /// frame handler, which would refuse streams from the first GOAWAY on.
    private static let warning: [UInt8] =
        [0, 0, 8, 7, 0, 0, 0, 0, 0] + [0x7F, 0xFF, 0xFF, 0xFF] + [0, 0, 0, 0]

    private func finishDraining() {
        guard drainSteps == 1 else { return }
        drainSteps = 2
        goAway(last: lastStreamID)
        flushIfNeeded()
        if streams.isEmpty { closeWhenWritten() }
    }

    private func goAway(
        last: HTTP2StreamID, _ code: NIOHTTP2.HTTP2ErrorCode = .noError, _ reason: ByteBuffer? = nil
    ) {
        write(
            HTTP2Frame(streamID: .rootStream, payload: .goAway(lastStreamID: last, errorCode: code, opaqueData: reason))
        )
    }

    private func endForPings() {
        goAway(last: lastStreamID, .enhanceYourCalm, ByteBuffer(string: "too_many_pings"))
        closeWhenWritten()
    }

    func drainUpgraded() -> Int { streams.streams.reduce(0) { $0 + $1.drainUpgraded() } }

    func abort() { channelContext?.close(promise: nil) }

    /// Ends the sending side once what was written has gone out; the rest follows when the peer has seen it, or soon.
    private func closeWhenWritten() {
        guard closingSince == nil else { return }
        closingSince = .now()
        // Not at once: this may be on the stack of the frame handler, which flushes when it is done, and what is not
        // flushed by then would be lost.
        loop.executor.execute {
            self.hasUnflushedFrames = false
            self.channelContext?.flush()
            self.channelContext?.close(mode: .output, promise: nil)
        }
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

/// Notices that the frame handler gave the connection up, which it says to the peer and to nobody else.
///
/// Touched on the event loop alone.
private final class FrameWatch: NIOHTTP2FrameDelegate {
    private(set) var hasFailed = false

    func wroteFrame(_ frame: HTTP2Frame) {
        if case .goAway(_, let code, _) = frame.payload, code != .noError { hasFailed = true }
    }
}
