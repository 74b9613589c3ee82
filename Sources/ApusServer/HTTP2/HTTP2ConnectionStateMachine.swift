import NIOCore

/// Decides what an HTTP/2 connection does next, without doing any I/O: which frames are allowed when, when the client's
/// window grows, and when the connection ends (RFC 9113 §5, §6).
///
/// Methods report events to it and return what to do next. The connection performs that.
struct HTTP2ConnectionStateMachine {
    enum Action: Equatable {
        case none
        /// Send a ping, to check whether the client is alive.
        case ping
        /// Send GOAWAY with the highest possible stream, and a ping: requests in transit are still accepted, and the
        /// acknowledgement of the ping shows that the client knows.
        case announceShutdown
        /// Send GOAWAY with the last stream that is processed.
        case goAway(last: UInt32, closes: Bool)
        /// Close the connection once everything written has been sent.
        case close
        /// Close the connection immediately.
        case abort
    }

    /// What to do with a header block.
    enum HeadersAction: Equatable {
        case open
        /// Reset the new stream: its request was not processed and may be retried.
        case refuse
        case trailers
        case ignore
        case reset(HTTP2ErrorCode)
    }

    /// What to do with a DATA frame.
    enum DataAction: Equatable {
        case deliver
        case discard
        case discardAndReset(HTTP2ErrorCode)
    }

    /// What the connection knows of the stream that a frame belongs to.
    struct OpenStream {
        var isRemoteEnded: Bool
        /// How many bytes the client may still send on the stream.
        var window: Int
    }

    private enum Phase: Equatable {
        case serving
        /// The shutdown was announced. Requests in transit are still accepted.
        case shutdownAnnounced
        /// No more requests are accepted.
        case refusing
        /// The connection only waits for its output to be sent, and then for the peer to close it.
        case closing(since: NIODeadline)
    }

    private let limits: ServerLimits
    private var phase = Phase.serving
    private var lifetime: ConnectionLifetime
    private var floodGate: FloodGate
    private var openStreams = 0
    private(set) var lastStreamID: UInt32 = 0
    /// The streams that were reset most recently. Frames for them that were in transit are ignored.
    private var recentlyReset = CircularBuffer<UInt32>(initialCapacity: 1)
    /// Whether the client has acknowledged the server's settings.
    private var hasAcknowledgedSettings = false
    /// How many bytes the client may still send, all bodies together.
    private(set) var window = HTTP2ConnectionStateMachine.maximumReceived
    /// The number of bytes of bodies that were read but not yet returned to the window.
    private var consumedBytes = 0
    /// The time since which the connection has had no streams; `nil` if it has any.
    private var idleSince: NIODeadline?
    /// Whether the client has closed its sending side.
    private(set) var isInputClosed = false
    private var isOutputClosed = false
    /// Whether the client was told of a connection error. Nothing more is read from it.
    private(set) var hasFailed = false
    /// When the client last changed the window that all streams share.
    private(set) var lastWindowChange: NIODeadline

    /// How many bytes of all bodies together may be received before they are read.
    static let maximumReceived = 1 << 20
    /// The default size of a window (RFC 9113 §6.9.2).
    static let defaultWindow = 65_535
    /// The payload of the ping whose acknowledgement shows that the announcement of the shutdown has arrived.
    static let shutdownPing: UInt64 = 1
    /// The payload of the ping that checks whether the client is alive.
    static let keepalivePing: UInt64 = 2
    private static let maximumRecentlyReset = 256
    /// How long the peer may take to close the connection after the last response.
    private static let lingerTime = TimeAmount.seconds(2)

    /// - Parameter random: A number from -1 to 1 that varies the connection's maximum age.
    init(_ limits: ServerLimits, now: NIODeadline, random: Double = .random(in: -1...1)) {
        self.limits = limits
        lifetime = ConnectionLifetime(limits, now: now, random: random)
        floodGate = FloodGate(now: now)
        idleSince = now
        lastWindowChange = now
    }

    // MARK: Streams

    /// Called when bytes have been received.
    mutating func received(now: NIODeadline) { lifetime.receivedBytes(now: now) }

    /// - Parameter stream: The stream, if it is open.
    mutating func receivedHeaders(
        _ id: UInt32, isEnd: Bool, on stream: OpenStream?, now: NIODeadline
    ) throws(HTTP2Failure) -> HeadersAction {
        if let stream {
            if stream.isRemoteEnded { return try reset(.streamClosed, now) }
            return isEnd ? .trailers : try reset(.protocolError, now)
        }
        guard id % 2 == 1 else {
            throw HTTP2Failure(.protocolError, "A client cannot open stream \(id), which has an even number.")
        }
        guard id > lastStreamID else {
            if recentlyReset.contains(id) { return .ignore }
            throw HTTP2Failure(.streamClosed, "Stream \(id) has ended or was skipped.")
        }
        lastStreamID = id
        guard openStreams < limits.concurrentStreams, acceptsRequests else {
            try floodGate.record(now: now)
            recordReset(of: id)
            return .refuse
        }
        openStreams += 1
        idleSince = nil
        return .open
    }

    /// A reset because the client violated the protocol. Each reset makes room for a request, while the work for the
    /// previous one may go on. Without a limit on resets, the limit on concurrent streams would have no effect
    /// (CVE-2025-8671).
    private mutating func reset(_ code: HTTP2ErrorCode, _ now: NIODeadline) throws(HTTP2Failure) -> HeadersAction {
        try floodGate.record(now: now)
        return .reset(code)
    }

    /// - Parameters:
    ///   - length: The size of the frame's payload with its padding.
    ///   - isEmpty: Whether the frame brings neither a byte nor the end of its stream.
    mutating func receivedData(
        _ id: UInt32, length: Int, isEmpty: Bool, on stream: OpenStream?, now: NIODeadline
    ) throws(HTTP2Failure) -> DataAction {
        window -= length
        guard window >= 0 else {
            throw HTTP2Failure(.flowControlError, "The client has exceeded the flow-control window of the connection.")
        }
        if isEmpty { try floodGate.record(now: now) }
        guard let stream else {
            guard recentlyReset.contains(id) else {
                throw HTTP2Failure(
                    id > lastStreamID ? .protocolError : .streamClosed,
                    "A DATA frame was received for stream \(id), which is not open."
                )
            }
            return .discard
        }
        guard !stream.isRemoteEnded else {
            try floodGate.record(now: now)
            return .discardAndReset(.streamClosed)
        }
        // A client that has not received the server's settings yet uses the default window.
        let grace = hasAcknowledgedSettings ? 0 : max(0, Self.defaultWindow - limits.bufferedBytes)
        guard stream.window + grace >= length else {
            try floodGate.record(now: now)
            return .discardAndReset(.flowControlError)
        }
        return .deliver
    }

    /// Called when the client has reset a stream.
    /// - Parameter isAnswered: Whether it has been answered, at least in part; `nil` if it is not open.
    mutating func receivedReset(_ id: UInt32, isAnswered: Bool?, now: NIODeadline) throws(HTTP2Failure) {
        guard id <= lastStreamID, id % 2 == 1 else {
            throw HTTP2Failure(.protocolError, "Stream \(id) does not exist.")
        }
        // Only work that is thrown away counts. The reset of a stream that has been answered or has ended wastes none:
        // it may have crossed the response on the way (RFC 9113 §5.1).
        if isAnswered == false { try floodGate.recordCancellation(now: now) }
    }

    /// Called when a WINDOW_UPDATE frame has arrived for a stream that is not open.
    func receivedWindowUpdate(forClosed id: UInt32) throws(HTTP2Failure) {
        if id > lastStreamID || id % 2 == 0 {
            throw HTTP2Failure(.protocolError, "Stream \(id) does not exist.")
        }
    }

    /// Called when a stream was reset because of what the client sent.
    mutating func recordViolation(now: NIODeadline) throws(HTTP2Failure) { try floodGate.record(now: now) }

    /// Called when a stream has ended on both sides or was reset.
    mutating func closedStream(_ id: UInt32, wasAborted: Bool, now: NIODeadline) -> Action {
        if wasAborted { recordReset(of: id) } else { floodGate.recordCompletion(now: now) }
        openStreams -= 1
        guard openStreams == 0 else { return .none }
        idleSince = now
        return phase == .refusing ? .close : .none
    }

    private mutating func recordReset(of id: UInt32) {
        if recentlyReset.count == Self.maximumRecentlyReset { recentlyReset.removeFirst() }
        recentlyReset.append(id)
    }

    // MARK: Windows

    /// Called when bytes of bodies were read or discarded.
    /// - Returns: By how much to extend the window of the connection; `nil` if that is not worth a frame yet.
    mutating func consumed(_ bytes: Int) -> Int? {
        consumedBytes += bytes
        guard consumedBytes > Self.maximumReceived / 4 else { return nil }
        defer { consumedBytes = 0 }
        window += consumedBytes
        return consumedBytes
    }

    /// Called when the client has changed the window that all streams share.
    mutating func windowChanged(now: NIODeadline) { lastWindowChange = now }

    // MARK: Control frames

    mutating func receivedSettings(now: NIODeadline) throws(HTTP2Failure) { try floodGate.record(now: now) }

    mutating func receivedSettingsAcknowledgement() { hasAcknowledgedSettings = true }

    mutating func receivedPing(now: NIODeadline) throws(HTTP2Failure) {
        if lifetime.receivedPing(now: now) { throw HTTP2Failure(.enhanceYourCalm, "too_many_pings") }
    }

    mutating func receivedPingAcknowledgement(_ data: UInt64) -> Action {
        data == Self.shutdownPing ? finishShutdown() : .none
    }

    /// Called when a response, or part of one, has been sent.
    mutating func sentResponse() { lifetime.sentResponse() }

    // MARK: Shutdown

    private var acceptsRequests: Bool { phase == .serving || phase == .shutdownAnnounced }

    /// Begins shutdown in two steps (RFC 9113 §6.8): first an announcement, then, when that must have arrived, the last
    /// stream that is processed.
    mutating func drain() -> Action {
        guard phase == .serving else { return .none }
        phase = .shutdownAnnounced
        return .announceShutdown
    }

    private mutating func finishShutdown() -> Action {
        guard phase == .shutdownAnnounced else { return .none }
        phase = .refusing
        return .goAway(last: lastStreamID, closes: openStreams == 0)
    }

    /// Called when the client has violated the protocol. Its streams end, and GOAWAY names the last of them.
    mutating func fail() { hasFailed = true }

    /// Called when the peer has closed its sending side. It may still read, so complete requests are answered.
    mutating func inputClosed() -> Action {
        isInputClosed = true
        if acceptsRequests { phase = .refusing }
        if isOutputClosed { return .abort }
        return openStreams == 0 ? .close : .none
    }

    /// Begins to close the connection. Requests from here on are refused, so the client may retry them elsewhere.
    /// - Returns: Whether that had not begun before.
    mutating func close(now: NIODeadline) -> Bool {
        if case .closing = phase { return false }
        phase = .closing(since: now)
        return true
    }

    /// Called when everything has been sent.
    /// - Returns: Whether to close both sides, because the client has closed its own.
    mutating func closedOutput() -> Bool {
        isOutputClosed = true
        return isInputClosed
    }

    // MARK: Timeouts

    /// Checks every timeout of the connection. Called a few times per second.
    /// - Parameters:
    ///   - isWritable: Whether the client accepts output.
    ///   - hasUnsentBytes: Whether bytes wait for the client to accept them.
    mutating func tick(now: NIODeadline, isWritable: Bool, hasUnsentBytes: @autoclosure () -> Bool) -> Action {
        // While reading is paused, the acknowledgement of a ping would not be seen. Instead, the client shows that it is
        // alive by accepting output.
        if !isWritable { lifetime.receivedBytes(now: now) }
        switch lifetime.tick(now: now, hasStreams: openStreams > 0) {
        case .none: break
        case .ping: return .ping
        case .retire: return drain()
        case .abort: return .abort
        }
        switch phase {
        case .shutdownAnnounced: return finishShutdown()
        case .closing(let since):
            let limit = hasUnsentBytes() ? TimeAmount(limits.idleTimeout) : Self.lingerTime
            return now - since > limit ? .abort : .none
        case .serving, .refusing:
            guard let idleSince, now - idleSince > TimeAmount(limits.idleTimeout) else { return .none }
            return .goAway(last: lastStreamID, closes: true)
        }
    }
}
