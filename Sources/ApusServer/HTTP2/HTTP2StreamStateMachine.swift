import ApusHTTP
import HTTPTypes
import NIOCore

/// Decides what happens on an HTTP/2 stream, without doing any I/O (RFC 9113 §5.1).
///
/// Methods report events to it and return what to do next. The stream performs that.
struct HTTP2StreamStateMachine {
    enum Action {
        case none
        case start(HTTP2RequestHead, Body)
        case deliver(ByteBuffer, isEnd: Bool)
        case endBody(trailers: HTTPFields)
        /// Nobody reads these bytes. Return them to the windows.
        case discard(Int)
        /// The request is malformed (RFC 9113 §8.1.1): reset the stream, and return the bytes to the connection's window.
        case reset(HTTP2ErrorCode, discarding: Int)
    }

    /// How much of a request's body has been received when the request starts.
    enum Body {
        case complete(ByteBuffer)
        case incoming(first: ByteBuffer)
    }

    enum Expiry: Equatable {
        case none
        case reset(HTTP2ErrorCode)
        /// The body arrives too slowly.
        case failBody
        /// The deadline has passed: cancel the handler.
        case cancel
        /// The handler has not reacted to its cancellation: answer without it.
        case abandon
    }

    /// What the client has sent.
    private enum Request {
        /// The body may arrive completely within the current read. Such a body is read without waiting.
        case pending(HTTP2RequestHead, ByteBuffer)
        /// The handler has started and reads the body as it arrives.
        case open
        /// The rest of the body is not wanted.
        case discarding
        /// The client has ended its side of the stream.
        case ended
    }

    /// What the server has sent.
    private enum Response {
        case awaited
        /// - Parameter mayPause: Whether the client may pause while it sends the body, because request and response are
        ///   streamed at the same time.
        case begun(mayPause: Bool)
        case upgraded
        /// The whole response has been passed to the connection; some of it may wait for the client's window.
        case ended
        /// The last frame has been written.
        case sent
    }

    private var request: Request
    private var response = Response.awaited
    private var clock: ExchangeClock
    /// How many bytes of the body are missing, if its length was declared.
    private var missingBytes: Int?
    /// Whether the client waits for 100 before it sends the body.
    private var needsContinue = false
    /// Whether the stream was reset because its request is malformed.
    private(set) var isMalformed = false
    private(set) var isClosed = false
    private var isAbandoned = false
    private var hasSentBytes = false
    /// How many bytes the client may still send on this stream.
    private(set) var window: Int
    private var consumedBytes = 0
    /// The cost of the pieces that have been written but not sent, and the time at which the client last made progress.
    private var unsentBytes = 0
    private var progress: NIODeadline
    /// When the client stops waiting for the response, if it waits for a limited time.
    private var expiry: NIODeadline?
    /// When the response was sent completely, if the request was still incomplete. The client is told that the rest is
    /// not needed (RFC 9113 §8.1), but not immediately: some clients discard a response if a reset arrives with it.
    private var answeredEarly: NIODeadline?

    /// How long a client may go on sending a body after it has been answered.
    private static let lingerTime = TimeAmount.seconds(1)
    /// The maximum number of bytes of a body that are collected before its request starts.
    private static let maximumEarlyBytes = 64 << 10

    /// - Parameters:
    ///   - isEnd: Whether the request ends with its header.
    ///   - window: How many bytes of the body the client may send before they are read.
    init(isEnd: Bool, window: Int, now: NIODeadline) {
        request = isEnd ? .ended : .discarding
        self.window = window
        clock = ExchangeClock(now: now)
        progress = now
    }

    // MARK: Receiving

    /// Whether the client has ended its side of the stream.
    var isRemoteEnded: Bool { if case .ended = request { true } else { false } }

    /// Whether the request waits for its body. Then ``startPending()`` follows at the end of the read.
    var isPending: Bool { if case .pending = request { true } else { false } }

    /// Called with the header of the request.
    mutating func received(_ head: HTTP2RequestHead) -> Action {
        missingBytes = head.contentLength
        guard isRemoteEnded else {
            request = .pending(head, ByteBuffer())
            return .none
        }
        return missingBytes ?? 0 > 0 ? malformed() : .start(head, .complete(ByteBuffer()))
    }

    /// Called when the request is malformed.
    /// - Parameter count: The number of bytes that have just been received.
    mutating func malformed(discarding count: Int = 0) -> Action {
        let early = takeEarlyBytes()
        request = .ended
        isMalformed = true
        return .reset(.protocolError, discarding: early + count)
    }

    /// Discards the bytes that were collected for a request that has not started.
    private mutating func takeEarlyBytes() -> Int {
        guard case .pending(_, let bytes) = request else { return 0 }
        request = .discarding
        return bytes.readableBytes
    }

    /// Starts a request whose body has not arrived completely.
    mutating func startPending() -> Action {
        guard case .pending(let head, let bytes) = request else { return .none }
        request = .open
        needsContinue = head.expectsContinue && bytes.readableBytes == 0
        return .start(head, .incoming(first: bytes))
    }

    /// - Parameter padding: The number of padding bytes, which count towards flow control.
    mutating func received(_ bytes: ByteBuffer, padding: Int, isEnd: Bool) -> Action {
        let count = bytes.readableBytes
        window -= count + padding
        if let missing = missingBytes {
            missingBytes = missing - count
            guard missing >= count, missing == count || !isEnd else { return malformed(discarding: count) }
        }
        needsContinue = false
        clock.received(bodyBytes: count)
        switch request {
        case .pending(let head, var early):
            request = .discarding  // Gives up the reference to the buffer, so that appending to it does not copy it.
            early.appendReclaiming(bytes)
            if isEnd {
                request = .ended
                return .start(head, .complete(early))
            }
            request = .pending(head, early)
            return early.readableBytes > Self.maximumEarlyBytes ? startPending() : .none
        case .open where isLocalEnded, .discarding, .ended:
            if isEnd { request = .ended }
            return .discard(count)
        case .open:
            if isEnd { request = .ended }
            if count > 0 { return .deliver(bytes, isEnd: isEnd) }
            return isEnd ? .endBody(trailers: [:]) : .none
        }
    }

    /// Called when trailers have ended the request, after ``startPending()``.
    /// - Parameter trailers: The fields; `nil` if they are malformed.
    mutating func received(trailers: HTTPFields?) -> Action {
        guard missingBytes ?? 0 == 0, let trailers else { return malformed() }
        request = .ended
        return .endBody(trailers: trailers)
    }

    /// Called when bytes of the body were read or discarded.
    /// - Returns: By how much to extend the stream's window; `nil` if that is not worth a frame yet.
    mutating func consumed(_ bytes: Int, limits: ServerLimits) -> Int? {
        consumedBytes += bytes
        guard !isRemoteEnded, !isClosed, !isLocalEnded, consumedBytes >= limits.bufferedBytes / 2 else { return nil }
        defer { consumedBytes = 0 }
        window += consumedBytes
        return consumedBytes
    }

    /// Called when the handler asks for the body.
    /// - Returns: Whether to send 100. That is impossible once the response has begun.
    mutating func bodyWanted() -> Bool {
        guard needsContinue, case .awaited = response, !isClosed else { return false }
        needsContinue = false
        return true
    }

    // MARK: Responding

    /// Whether the response has been sent, at least in part.
    var isAnswered: Bool { isLocalEnded || hasSentBytes }

    /// Whether the whole response has been passed to the connection, sent or not.
    private var isLocalEnded: Bool {
        switch response {
        case .ended, .sent: true
        case .awaited, .begun, .upgraded: false
        }
    }

    /// Whether both sides have ended and everything has been sent.
    var isDone: Bool { if case .sent = response { isRemoteEnded } else { false } }

    /// Whether the handler may still respond: the stream is open and has not been answered without the handler.
    var awaitsHandler: Bool { !isClosed && !isAbandoned }

    /// Whether bytes of the response may be written.
    var acceptsBytes: Bool { !isClosed && !isLocalEnded }

    /// Begins the response.
    /// - Parameter expiry: When the client stops waiting for it.
    /// - Returns: Whether it may be sent: it is the first, and the stream is open.
    mutating func beginResponse(mayPause: Bool = false, expiry: NIODeadline? = nil) -> Bool {
        guard !isClosed, case .awaited = response else { return false }
        self.expiry = expiry
        response = .begun(mayPause: mayPause)
        return true
    }

    mutating func upgrade() { if !isClosed { response = .upgraded } }

    /// Called when the whole response has been passed to the connection.
    mutating func endedResponse(now: NIODeadline) {
        if !isLocalEnded { response = .ended }
        progress = now
    }

    /// Called when the last frame of the response has been written.
    mutating func sentEnd() { response = .sent }

    /// Called when the client has received the whole response, or is about to.
    mutating func deliveredResponse(now: NIODeadline) { if !isRemoteEnded { answeredEarly = now } }

    /// Called when bytes of the body were written that may wait for the client.
    mutating func queued(_ bytes: Int) { unsentBytes += bytes }

    /// Called when queued bytes were sent.
    mutating func sent(_ bytes: Int, now: NIODeadline) {
        unsentBytes -= bytes
        progress = now
    }

    /// Whether the writer must wait until the client has caught up.
    func isFull(_ limits: ServerLimits) -> Bool { unsentBytes > limits.bufferedBytes }

    /// Called when bytes of the body have been written.
    mutating func sentData() { hasSentBytes = true }

    /// Called when the client has opened its window, or when waiting bytes were sent.
    mutating func windowChanged(now: NIODeadline) { progress = now }

    /// Called when both sides have ended, or one of them has aborted the stream.
    /// - Returns: The number of bytes that were collected for a request that has not started.
    mutating func closed() -> Int {
        isClosed = true
        return takeEarlyBytes()
    }

    // MARK: Timeouts

    /// Checks every timeout. Called a few times per second.
    /// - Parameters:
    ///   - lastWindowChange: When the client last changed the window that all streams share.
    ///   - hasConnectionWindow: Whether the client may send bytes on any stream.
    mutating func tick(
        _ limits: ServerLimits, now: NIODeadline, elapsed: TimeAmount, lastWindowChange: NIODeadline,
        hasConnectionWindow: Bool
    ) -> Expiry {
        if unsentBytes == 0, !isLocalEnded { progress = now }
        if now - max(progress, lastWindowChange) > TimeAmount(limits.idleTimeout) { return .reset(.cancel) }
        if hasExpired(limits, now) { return .reset(.cancel) }
        if let answeredEarly, !isRemoteEnded, now - answeredEarly > Self.lingerTime { return .reset(.noError) }
        if case .upgraded = response { return .none }
        switch clock.tick(
            limits, now: now, elapsed: elapsed, awaitsBody: awaitsBody && hasConnectionWindow, hasResponse: hasResponse)
        {
        case .none: return .none
        case .cancel: return .cancel
        case .bodyTooSlow:
            request = .discarding
            return .failBody
        case .abandon:
            isAbandoned = true
            return .abandon
        }
    }

    /// Whether the client no longer waits for a response that has not been sent. The body may still end by itself, with
    /// trailers that say why, unless these would have to wait for the client.
    private func hasExpired(_ limits: ServerLimits, _ now: NIODeadline) -> Bool {
        guard let expiry, now > expiry else { return false }
        return switch response {
        case .sent: false
        case .ended: true
        case .awaited, .begun, .upgraded: unsentBytes > 0 || now > expiry + TimeAmount(limits.cancellationGrace)
        }
    }

    private var hasResponse: Bool { if case .awaited = response { false } else { true } }

    /// Whether the client could send more of the body now.
    private var awaitsBody: Bool {
        guard case .open = request, !needsContinue, window > 0 else { return false }
        if case .begun(mayPause: true) = response { return false }
        return true
    }
}
