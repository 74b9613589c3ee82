import HTTPTypes
import NIOCore

/// Decides what an HTTP/1.1 connection does next, without doing any I/O.
///
/// Methods report events to it. The actions to perform are returned by ``next()``, which must be called until it
/// returns ``Action/wait``. Requests are handled one at a time, so pipelined requests are answered in order.
struct HTTP1StateMachine {
    enum Action {
        /// Wait for the next event.
        case wait
        case start(RequestHead, Body)
        case deliver(ByteBuffer)
        case endBody(trailers: HTTPFields)
        case failBody(RequestError)
        /// Answer with this error, then close the connection. The error belongs to no request.
        case reject(RequestError)
        case close
    }

    /// How much of a request's body has been received when the request starts.
    enum Body {
        case complete(ByteBuffer)
        case incoming(length: Int?)
    }

    enum Expiry: Equatable {
        case none
        case reject(RequestError)
        case failBody(RequestError)
        /// The deadline has passed: cancel the handler.
        case cancel
        /// The handler has not reacted to its cancellation: answer without it.
        case abandon
        case close
    }

    private enum Phase {
        /// Waiting for a request.
        case idle(since: NIODeadline)
        /// Part of a head has been received.
        case head(since: NIODeadline)
        case exchange(Exchange)
        /// The response has been sent, and the rest of the body is skipped.
        case discarding(remaining: Int, since: NIODeadline)
        /// The last response has been sent, and the peer has a moment to read it before the connection closes.
        case lingering(since: NIODeadline)
        case upgraded
        case closed
    }

    private struct Exchange {
        let keepAlive: Bool
        var clock: ExchangeClock
        var isBodyComplete: Bool
        var isBodyWanted: Bool
        var hasResponse = false
        var isAbandoned = false
    }

    private let limits: ServerLimits
    private var phase: Phase
    private var parser: HTTP1Parser
    private(set) var now: NIODeadline
    private var isWritable = true
    /// The number of bytes sent when the peer last accepted some, and the time of that.
    private var progress: (bytes: Int, at: NIODeadline)
    /// When the client stops waiting for the current response, if it waits for a limited time.
    private var expiry: NIODeadline?
    private var isDraining = false
    /// Whether the peer has closed its sending side.
    private(set) var isInputClosed = false
    /// Whether the current request is the last one, because the bytes after it cannot be parsed.
    private var isLast = false

    /// The maximum number of bytes of an unread body that are skipped to keep the connection open.
    private static let discardLimit = 64 << 10
    private static let lingerTime = TimeAmount.seconds(2)
    /// How long an idle connection waits for one more request after shutdown has begun.
    static let drainTimeout = TimeAmount.seconds(1)

    /// - Parameter headSince: When the first byte of the connection was received, if it has been.
    init(limits: ServerLimits, now: NIODeadline, headSince: NIODeadline? = nil) {
        self.limits = limits
        self.now = now
        progress = (0, now)
        phase = if let headSince { .head(since: headSince) } else { .idle(since: now) }
        parser = HTTP1Parser(maxHeadBytes: limits.headBytes, maxHeadFields: limits.headFields)
    }

    /// Whether more bytes should be read from the connection.
    var wantsRead: Bool {
        switch phase {
        case .idle, .head: isWritable
        case .exchange(let exchange) where !exchange.isBodyComplete: exchange.isBodyWanted
        case .exchange: parser.bufferedBytes < limits.bufferedBytes
        case .discarding, .lingering: true
        case .upgraded, .closed: false
        }
    }

    /// Whether the connection waits for a request of which nothing has been received.
    var isIdle: Bool {
        if case .idle = phase { true } else { false }
    }

    var isUpgraded: Bool {
        if case .upgraded = phase { true } else { false }
    }

    // MARK: Events

    mutating func received(_ bytes: ByteBuffer, now: NIODeadline) {
        self.now = now
        switch phase {
        case .idle:
            parser.append(bytes)
            phase = .head(since: now)
        case .head, .exchange, .discarding: parser.append(bytes)
        case .lingering, .upgraded, .closed: break
        }
    }

    mutating func next() -> Action {
        switch phase {
        case .idle, .head: return nextHead()
        case .exchange(let exchange) where !exchange.isBodyComplete: return nextBody(exchange)
        case .discarding(let remaining, let since): return discard(remaining, since)
        case .exchange, .lingering, .upgraded, .closed: return .wait
        }
    }

    /// Called when the reader of the body has room again, or has none left.
    mutating func bodyWanted(_ isWanted: Bool) {
        guard case .exchange(var exchange) = phase else { return }
        exchange.isBodyWanted = isWanted
        phase = .exchange(exchange)
    }

    mutating func writabilityChanged(_ isWritable: Bool) { self.isWritable = isWritable }

    /// Begins a response.
    /// - Parameters:
    ///   - isStreamed: Whether the body may be read while the response is produced.
    ///   - expiry: When the client stops waiting for the response.
    /// - Returns: Whether the connection stays open after the response, or `nil` if no response may be sent any more.
    mutating func beginResponse(isStreamed: Bool = false, expiry: NIODeadline? = nil) -> Bool? {
        guard case .exchange(var exchange) = phase, !exchange.hasResponse, !exchange.isAbandoned else { return nil }
        self.expiry = expiry
        exchange.hasResponse = true
        phase = .exchange(exchange)
        return exchange.keepAlive && !isDraining && !isLast
            && (exchange.isBodyComplete || exchange.isBodyWanted && (isStreamed || canDiscardBody))
    }

    /// Called when the response has been written completely.
    /// - Parameter keepAlive: The result of ``beginResponse(isStreamed:expiry:)``.
    mutating func endResponse(keepAlive: Bool, now: NIODeadline) -> Action {
        self.now = now
        guard case .exchange(let exchange) = phase else { return .wait }
        guard keepAlive, !isLast else { return linger() }
        guard exchange.isBodyComplete else {
            guard canDiscardBody else { return linger() }
            phase = .discarding(remaining: Self.discardLimit, since: now)
            return .wait
        }
        return awaitRequest()
    }

    /// Whether the rest of the body is small enough to be skipped.
    private var canDiscardBody: Bool { parser.remainingContentLength <= Self.discardLimit }

    /// Proceeds to the next request, if there may be one.
    private mutating func awaitRequest() -> Action {
        if parser.bufferedBytes > 0 {
            phase = .head(since: now)
            return .wait
        }
        if isInputClosed { return linger() }
        phase = .idle(since: now)
        return .wait
    }

    /// Switches the connection to another protocol.
    /// - Returns: The bytes of that protocol that have been received.
    mutating func upgrade() -> ByteBuffer {
        phase = .upgraded
        return parser.takeRemainder()
    }

    /// Called when the peer has closed its sending side. Bytes received before are still processed.
    /// - Returns: The action to perform immediately.
    mutating func inputClosed() -> Action {
        isInputClosed = true
        switch phase {
        case .idle, .lingering:
            phase = .closed
            return .close
        case .head, .exchange, .discarding, .upgraded, .closed: return .wait
        }
    }

    /// Whether the peer seems to have disconnected: it has closed its sending side after a complete request. The
    /// handler is then cancelled. Its response, if there is one, is still sent, because a peer that closed only its
    /// sending side keeps reading.
    var isAbandonedByPeer: Bool {
        guard isInputClosed, case .exchange(let exchange) = phase else { return false }
        return exchange.isBodyComplete
    }

    mutating func closed() { phase = .closed }

    /// Begins shutdown: the next response is the last. A connection that was in use a moment ago may have a request in
    /// transit and gets time to deliver it.
    mutating func drain() -> Action {
        isDraining = true
        guard case .idle(let since) = phase, now - since > Self.drainTimeout else { return .wait }
        phase = .closed
        return .close
    }

    /// Waits for the peer to close the connection after the last response, or closes it if the peer has closed its
    /// sending side.
    mutating func linger() -> Action {
        if isInputClosed {
            phase = .closed
            return .close
        }
        phase = .lingering(since: now)
        return .wait
    }

    /// Whether the last response has been sent, and the connection only waits for the peer to close it.
    var isLingering: Bool {
        if case .lingering = phase { true } else { false }
    }

    // MARK: Timeouts

    /// Checks every timeout. Called a few times per second.
    ///
    /// While bytes are waiting to be sent, the connection is neither idle nor done: its timeouts restart, and only the
    /// time since the peer last accepted bytes counts.
    /// - Parameters:
    ///   - pendingBytes: The number of response bytes that the peer has not accepted yet.
    ///   - sentBytes: The number of bytes that it has accepted.
    mutating func tick(now: NIODeadline, elapsed: TimeAmount, pendingBytes: Int = 0, sentBytes: Int = 0) -> Expiry {
        self.now = now
        if pendingBytes == 0 || sentBytes > progress.bytes { progress = (sentBytes, now) }
        // TLS makes more bytes wait than were written, so a write can decrease the number without any progress.
        progress.bytes = min(progress.bytes, sentBytes)
        if now - progress.at > TimeAmount(limits.idleTimeout) { return close() }
        if hasExpired(hasUnsentBytes: pendingBytes > 0) { return close() }
        if pendingBytes > 0 || !isWritable { restartClocks() }
        switch phase {
        case .idle(let since):
            let timeout = isDraining ? Self.drainTimeout : TimeAmount(limits.idleTimeout)
            return now - since > timeout ? close() : .none
        case .discarding(_, let since): return now - since > TimeAmount(limits.bodyGrace) ? close() : .none
        case .head(let since):
            return now - since > TimeAmount(limits.headTimeout) ? .reject(.headTimeout) : .none
        case .lingering(let since): return now - since > Self.lingerTime ? close() : .none
        case .exchange(let exchange): return tick(exchange, elapsed)
        case .upgraded, .closed: return .none
        }
    }

    /// Whether the client no longer waits for a response that has not been sent. The body may still end by itself, unless
    /// its end would have to wait for the client.
    private func hasExpired(hasUnsentBytes: Bool) -> Bool {
        guard let expiry, now > expiry else { return false }
        if hasUnsentBytes { return true }
        guard case .exchange(let exchange) = phase, exchange.hasResponse else { return false }
        return now > expiry + TimeAmount(limits.cancellationGrace)
    }

    private mutating func tick(_ current: Exchange, _ elapsed: TimeAmount) -> Expiry {
        var exchange = current
        defer { if case .exchange = phase { phase = .exchange(exchange) } }
        let awaitsBody = !exchange.isBodyComplete && exchange.isBodyWanted
        switch exchange.clock.tick(
            limits, now: now, elapsed: elapsed, awaitsBody: awaitsBody, hasResponse: exchange.hasResponse)
        {
        case .none: return .none
        case .cancel: return .cancel
        case .bodyTooSlow:
            exchange.isBodyComplete = true
            isLast = true
            return .failBody(.bodyTooSlow)
        case .abandon:
            exchange.isAbandoned = true
            return .abandon
        }
    }

    private mutating func restartClocks() {
        switch phase {
        case .idle: phase = .idle(since: now)
        case .head: phase = .head(since: now)
        case .discarding(let remaining, _): phase = .discarding(remaining: remaining, since: now)
        case .lingering: phase = .lingering(since: now)
        case .exchange, .upgraded, .closed: break
        }
    }

    private mutating func close() -> Expiry {
        phase = .closed
        return .close
    }

    // MARK: Transitions

    private mutating func nextHead() -> Action {
        guard isWritable else { return .wait }
        let part: HTTP1Parser.Part
        do {
            part = try parser.next()
        } catch {
            phase = .lingering(since: now)
            return .reject(error)
        }
        let head: RequestHead
        switch part {
        case .head(let parsed): head = parsed
        case .needsMore:
            // The connection ends if its request can no longer be completed, or if no request follows empty lines.
            if isInputClosed {
                phase = .closed
                return .close
            }
            if case .head = phase, parser.bufferedBytes == 0 { phase = .idle(since: now) }
            return .wait
        case .body, .end:
            phase = .lingering(since: now)
            return .reject(.malformedRequestLine)
        }
        let completeBody = parser.takeCompleteBody()
        expiry = nil
        phase = .exchange(
            Exchange(
                keepAlive: head.keepAlive, clock: ExchangeClock(now: now),
                isBodyComplete: completeBody != nil, isBodyWanted: !head.expectsContinue))
        if let completeBody { return .start(head, .complete(completeBody)) }
        if case .length(let length) = head.framing { return .start(head, .incoming(length: length)) }
        return .start(head, .incoming(length: nil))
    }

    private mutating func nextBody(_ current: Exchange) -> Action {
        guard current.isBodyWanted else { return .wait }
        var exchange = current
        defer { phase = .exchange(exchange) }
        do {
            switch try parser.next() {
            case .body(let bytes):
                exchange.clock.received(bodyBytes: bytes.readableBytes)
                return .deliver(bytes)
            case .end(let trailers):
                exchange.isBodyComplete = true
                return .endBody(trailers: trailers)
            case .needsMore where isInputClosed:
                exchange.isBodyComplete = true
                isLast = true
                return .failBody(.truncated)
            case .needsMore, .head: return .wait
            }
        } catch {
            exchange.isBodyComplete = true
            isLast = true
            return .failBody(error)
        }
    }

    private mutating func discard(_ remaining: Int, _ since: NIODeadline) -> Action {
        var remaining = remaining
        while true {
            guard let part = try? parser.next() else { return linger() }
            switch part {
            case .body(let bytes):
                remaining -= bytes.readableBytes
                guard remaining >= 0 else { return linger() }
                phase = .discarding(remaining: remaining, since: since)
            case .end:
                let action = awaitRequest()
                if case .wait = action, !isLingering { return nextHead() }
                return action
            case .needsMore, .head: return isInputClosed ? linger() : .wait
            }
        }
    }
}
