import ApusCore
import ApusHTTP
import NIOCore
import NIOHPACK

/// One HTTP/2 connection: reads frames, knows its streams, and ends.
///
/// Streams are objects in a table, not channels: a request costs a third of what a channel of its own would. What is sent is in
/// the extension.
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
    @exclusivity(unchecked) private var decoder: HPACKDecoder
    private var gate = FloodGate(now: .now())
    /// Those whose request awaits its body, as long as the read lasts.
    @exclusivity(unchecked) private var awaiting: [HTTP2Stream] = []
    @exclusivity(unchecked) private(set) var lastStreamID: UInt32 = 0
    /// The latest that were cut off: what the client sent before it knew of that means nothing.
    private var recentlyReset = CircularBuffer<UInt32>(initialCapacity: 1)
    @exclusivity(unchecked) private(set) var isInRead = false
    @exclusivity(unchecked) private var readAt = NIODeadline.now()
    /// Whether the client has seen our settings.
    private var hasSettingsAcknowledged = false
    /// How much the client may still send of all bodies together.
    @exclusivity(unchecked) private(set) var window = HTTP2Connection.connectionWindow
    /// Bytes of bodies that were read and not yet allowed for anew.
    @exclusivity(unchecked) private var consumedBytes = 0
    /// Since when there is no stream, if there is none.
    @exclusivity(unchecked) private var idleSince: NIODeadline? = .now()
    private var drainSteps = 0
    /// Since when only the peer's goodbye is awaited.
    private var closingSince: NIODeadline?
    /// Whether the client has ended its side.
    private var isInputClosed = false
    private var isOutputClosed = false
    /// Whether the client was told that it does not speak HTTP/2: what it says then is not read.
    private var hasFailed = false
    /// When a window of the peer last changed that all streams share.
    private(set) var lastWindowChange = NIODeadline.now()

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
    private enum Setting: UInt16 {
        case tableSize = 1
        case push = 2
        case concurrentStreams = 3
        case initialWindow = 4
        case largestFrame = 5
        case headerList = 6
        case connectProtocol = 8
    }

    // MARK: Frames

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

    private func receive(_ frame: FrameReader.Frame) throws(HTTP2Failure) {
        switch frame {
        case .headers(let id, let block, let isEnd): try receiveHeaders(id, block, isEnd: isEnd)
        case .data(let id, let bytes, let padding, let isEnd):
            try receiveData(id, bytes, padding: padding, isEnd: isEnd)
        case .windowUpdate(let id, let increment): try receiveWindowUpdate(id, increment)
        case .reset(let id, _):
            guard id <= lastStreamID, id % 2 == 1 else {
                throw HTTP2Failure(.protocolError, "Stream \(id) does not exist.")
            }
            let stream = streams[id]
            // Who was answered, and has seen enough of it, is no flood.
            if stream?.wasAnswered != true { try gate.pass(now: now) }
            if let stream { close(stream, wasCut: true) }
        case .settings(let settings):
            try gate.pass(now: now)
            try take(settings)
        case .settingsAcknowledged: hasSettingsAcknowledged = true
        case .ping(let data):
            if life.pinged(now: now) { throw HTTP2Failure(.enhanceYourCalm, "too_many_pings") }
            write { writer, output in writer.ping(data, isAcknowledgement: true, to: &output) }
        case .pingAcknowledged(let data): if data == Self.goodbye { finishDraining() }
        case .other: break
        }
    }

    private func receiveHeaders(_ id: UInt32, _ block: ByteBuffer, isEnd: Bool) throws(HTTP2Failure) {
        // Also of one that is refused: the tables of both sides must stay the same.
        let headers = try decode(block)
        if let stream = streams[id] {
            guard !stream.isRemoteEnded else { return try resetFaulty(stream, .streamClosed) }
            guard isEnd else { return try resetFaulty(stream, .protocolError) }
            stream.receive(trailers: headers)
            return try received(by: stream)
        }
        guard id % 2 == 1 else { throw HTTP2Failure(.protocolError, "Stream \(id) is not a client's to open.") }
        guard id > lastStreamID else {
            if recentlyReset.contains(id) { return }
            throw HTTP2Failure(.streamClosed, "Stream \(id) has ended, or was passed over.")
        }
        lastStreamID = id
        guard streams.count < core.limits.concurrentStreams, drainSteps < 2 else {
            try gate.pass(now: now)
            note(reset: id)
            return write { writer, output in writer.reset(id, .refusedStream, to: &output) }
        }
        let stream = HTTP2Stream(id, connection: self, sendWindow: sending.initialWindow)
        streams.append(stream, id: id)
        idleSince = nil
        if stream.start(headers, isEnd: isEnd) { awaiting.append(stream) }
        try received(by: stream)
    }

    /// What follows from what a stream made of a frame.
    private func received(by stream: HTTP2Stream) throws(HTTP2Failure) {
        if stream.isMalformed { try gate.pass(now: now) }
        closeIfDone(stream)
    }

    /// Cuts a stream off for what the client did to it. Each of that frees a place for a request whose work may go on: as many
    /// as it likes would be no limit (CVE-2025-8671).
    private func resetFaulty(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) throws(HTTP2Failure) {
        try gate.pass(now: now)
        reset(stream, code)
    }

    private func decode(_ block: ByteBuffer) throws(HTTP2Failure) -> HPACKHeaders {
        var block = block
        do {
            return try decoder.decodeHeaders(from: &block)
        } catch is NIOHPACKErrors.MaxHeaderListSizeViolation {
            // What was left of it would have to be decoded too, to keep the table.
            throw HTTP2Failure(.enhanceYourCalm, "A header has more than \(core.limits.headBytes) bytes.")
        } catch {
            throw HTTP2Failure(.compressionError, "A header cannot be decompressed.")
        }
    }

    private func receiveData(
        _ id: UInt32, _ bytes: ByteBuffer, padding: Int, isEnd: Bool
    ) throws(HTTP2Failure) {
        let length = bytes.readableBytes + padding
        window -= length
        guard window >= 0 else { throw HTTP2Failure(.flowControlError, "More of bodies came than was allowed for.") }
        if bytes.readableBytes == 0, !isEnd { try gate.pass(now: now) }
        guard let stream = streams[id] else {
            guard recentlyReset.contains(id) else {
                throw HTTP2Failure(
                    id > lastStreamID ? .protocolError : .streamClosed, "Data came for stream \(id), which is not open."
                )
            }
            return consumed(length)
        }
        guard !stream.isRemoteEnded else {
            consumed(length)
            return try resetFaulty(stream, .streamClosed)
        }
        // A client that has not seen the settings goes by what holds without them.
        let grace = hasSettingsAcknowledged ? 0 : max(0, Self.initialWindow - core.limits.bufferedBytes)
        guard stream.window + grace >= length else {
            consumed(length)
            return try resetFaulty(stream, .flowControlError)
        }
        stream.receive(bytes, padding: padding, isEnd: isEnd)
        try received(by: stream)
    }

    private func receiveWindowUpdate(_ id: UInt32, _ increment: Int) throws(HTTP2Failure) {
        if id == 0 {
            try sending.grow(by: increment)
            lastWindowChange = now
        } else if let stream = streams[id] {
            stream.sending.window += increment
            guard stream.sending.window <= SendState.largestWindow else {
                return try resetFaulty(stream, .flowControlError)
            }
            stream.windowChanged()
            wait(stream)
        } else if id > lastStreamID || id % 2 == 0 {
            throw HTTP2Failure(.protocolError, "Stream \(id) does not exist.")
        }
        sendWaiting()
    }

    private func take(_ settings: [FrameReader.Setting]) throws(HTTP2Failure) {
        for setting in settings {
            let value = Int(setting.value)
            switch Setting(rawValue: setting.identifier) {
            case .tableSize: sending.writer.take(tableSize: value)
            case .push:
                guard value <= 1 else { throw HTTP2Failure(.protocolError, "ENABLE_PUSH is \(value).") }
            case .initialWindow:
                guard value <= SendState.largestWindow else {
                    throw HTTP2Failure(.flowControlError, "INITIAL_WINDOW_SIZE is \(value).")
                }
                try takeInitialWindow(value)
            case .largestFrame:
                guard (16_384...16_777_215).contains(value) else {
                    throw HTTP2Failure(.protocolError, "MAX_FRAME_SIZE is \(value).")
                }
                sending.writer.take(largestFrame: value)
            case .concurrentStreams, .headerList, .connectProtocol, nil: break
            }
        }
        write { writer, output in writer.settingsAcknowledgement(to: &output) }
        sendWaiting()
    }

    /// Counts for the streams there are, too (RFC 9113 §6.9.2).
    private func takeInitialWindow(_ value: Int) throws(HTTP2Failure) {
        let change = value - sending.initialWindow
        guard change != 0 else { return }
        sending.initialWindow = value
        for stream in streams.streams {
            stream.sending.window += change
            guard stream.sending.window <= SendState.largestWindow else {
                throw HTTP2Failure(.flowControlError, "A window grows past what a window can be.")
            }
            wait(stream)
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

    private func close(_ stream: HTTP2Stream, wasCut: Bool) {
        guard streams.remove(stream.id) != nil else { return }
        if wasCut { note(reset: stream.id) }
        if stream.sending.isWaiting { sending.forget(stream) }
        stream.closed(wasCut: wasCut)
        if streams.isEmpty { becomeIdle() }
    }

    private func note(reset id: UInt32) {
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
    private static let goodbye: UInt64 = 1
    private static let question: UInt64 = 2

    private func sayGoodbye() {
        guard drainSteps == 0 else { return }
        drainSteps = 1
        // With the highest stream there can be: no new requests, please, but what is on its way is taken.
        goAway(last: 0x7FFF_FFFF, .noError)
        write { writer, output in writer.ping(Self.goodbye, isAcknowledgement: false, to: &output) }
        flushSoon()
    }

    private func finishDraining() {
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
