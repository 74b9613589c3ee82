import HTTPTypes
import NIOCore

/// What one HTTP/1.1 connection does next, decided without any input or output.
///
/// Events come in as method calls; what to do comes out of ``next()``, called until it says ``Action/wait``. Requests are
/// taken one after the other, so that pipelined ones are answered in order.
struct HTTP1StateMachine {
    enum Action {
        /// Nothing until the next event.
        case wait
        case start(RequestHead, Body)
        case deliver(ByteBuffer)
        case endBody(trailers: HTTPFields)
        case failBody(HTTP1Error)
        /// Answer once with this error, then close: there is no request that it could belong to.
        case reject(HTTP1Error)
        case close
        /// The client speaks HTTP/2, and these are its first bytes.
        case switchToHTTP2(ByteBuffer)
    }

    /// How much of a request's body is here when the request starts.
    enum Body {
        case whole(ByteBuffer)
        case coming(length: Int?)
    }

    enum Expiry: Equatable {
        case none
        case reject(HTTP1Error)
        case failBody(HTTP1Error)
        /// Cancel the handler: its deadline has passed.
        case cancel
        /// Answer without the handler: it did not heed its cancellation.
        case abandon
        case close
    }

    private enum Phase {
        /// Between requests.
        case idle(since: NIODeadline)
        /// A part of a head is here.
        case head(since: NIODeadline)
        case exchange(Exchange)
        /// The response is out, and the rest of the body is read past.
        case discarding(remaining: Int, since: NIODeadline)
        /// The last response is out, and the peer has a moment to read it before the connection goes.
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
    /// How many bytes had gone out when the peer last took some, and when that was.
    private var progress: (bytes: Int, at: NIODeadline)
    private var isDraining = false
    private var isInputClosed = false
    /// What comes after the present request cannot be read, so it is the last one.
    private var isLast = false

    /// How much of an unread body is read past, to keep the connection.
    private static let discardLimit = 64 << 10
    private static let lingerTime = TimeAmount.seconds(2)
    /// How long an idle connection waits for one more request once the server stops.
    private static let drainPatience = TimeAmount.seconds(1)

    init(limits: ServerLimits, now: NIODeadline) {
        self.limits = limits
        self.now = now
        progress = (0, now)
        phase = .idle(since: now)
        parser = HTTP1Parser(maxHeadBytes: limits.headBytes, maxHeadFields: limits.headFields)
    }

    /// Whether more bytes are wanted from the connection.
    var wantsRead: Bool {
        switch phase {
        case .idle, .head: isWritable
        case .exchange(let exchange) where !exchange.isBodyComplete: exchange.isBodyWanted
        case .exchange: parser.bufferedBytes < limits.bufferedBytes
        case .discarding, .lingering: true
        case .upgraded, .closed: false
        }
    }

    /// Whether the connection waits for a request, with nothing of it here yet.
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

    /// The reader of the body has room again, or has none.
    mutating func bodyWanted(_ isWanted: Bool) {
        guard case .exchange(var exchange) = phase else { return }
        exchange.isBodyWanted = isWanted
        phase = .exchange(exchange)
    }

    mutating func writabilityChanged(_ isWritable: Bool) { self.isWritable = isWritable }

    /// A response is about to be sent.
    /// - Parameter isStreamed: Whether the body may be read on while the response is made.
    /// - Returns: Whether the connection stays open after it, or `nil` if no response may be sent any more.
    mutating func beginResponse(isStreamed: Bool = false) -> Bool? {
        guard case .exchange(var exchange) = phase, !exchange.hasResponse, !exchange.isAbandoned else { return nil }
        exchange.hasResponse = true
        phase = .exchange(exchange)
        return exchange.keepAlive && !isDraining && !isLast
            && (exchange.isBodyComplete || exchange.isBodyWanted && (isStreamed || canDiscardBody))
    }

    /// The response is out whole.
    /// - Parameter keepAlive: What ``beginResponse()`` said.
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

    /// Whether what is left of the body is little enough to be read past.
    private var canDiscardBody: Bool { parser.announcedRest <= Self.discardLimit }

    /// Turns to the next request, if there may be one.
    private mutating func awaitRequest() -> Action {
        if parser.bufferedBytes > 0 {
            phase = .head(since: now)
            return .wait
        }
        if isInputClosed { return linger() }
        phase = .idle(since: now)
        return .wait
    }

    /// The connection belongs to another protocol from here on.
    /// - Returns: The bytes of it that are here already.
    mutating func upgrade() -> ByteBuffer {
        phase = .upgraded
        return parser.takeRemainder()
    }

    /// The peer sends no more. What is here already is still taken in.
    /// - Returns: What to do at once.
    mutating func inputClosed() -> Action {
        isInputClosed = true
        switch phase {
        case .idle, .lingering:
            phase = .closed
            return .close
        case .head, .exchange, .discarding, .upgraded, .closed: return .wait
        }
    }

    /// Whether the peer seems to be gone: it sends no more, and its request is whole. The handler is cancelled then; its
    /// response, if there is one, is still sent, because a peer that only closed its sending side reads on.
    var isAbandonedByPeer: Bool {
        guard isInputClosed, case .exchange(let exchange) = phase else { return false }
        return exchange.isBodyComplete
    }

    mutating func closed() { phase = .closed }

    /// The server stops: the next response is the last. A connection that was in use a moment ago may have a request on its
    /// way, and is given the time to bring it.
    mutating func drain() -> Action {
        isDraining = true
        guard case .idle(let since) = phase, now - since > Self.drainPatience else { return .wait }
        phase = .closed
        return .close
    }

    /// An error was answered, and the connection is to end.
    mutating func linger() -> Action {
        if isInputClosed {
            phase = .closed
            return .close
        }
        phase = .lingering(since: now)
        return .wait
    }

    /// Whether the last response is out and only the peer's goodbye is awaited.
    var isLingering: Bool {
        if case .lingering = phase { true } else { false }
    }

    // MARK: Clocks

    /// Looks at every clock. Called a few times a second.
    ///
    /// As long as bytes are on their way out the connection is neither idle nor done: its clocks stand still, and the one
    /// that counts is that of the peer's reading.
    /// - Parameters:
    ///   - pendingBytes: How many bytes of responses the peer has not taken yet.
    ///   - sentBytes: How many it has taken.
    mutating func tick(now: NIODeadline, elapsed: TimeAmount, pendingBytes: Int = 0, sentBytes: Int = 0) -> Expiry {
        self.now = now
        if pendingBytes == 0 || sentBytes != progress.bytes { progress = (sentBytes, now) }
        if now - progress.at > TimeAmount(limits.idleTimeout) { return close() }
        if pendingBytes > 0 || !isWritable { restartClocks() }
        switch phase {
        case .idle(let since):
            let patience = isDraining ? Self.drainPatience : TimeAmount(limits.idleTimeout)
            return now - since > patience ? close() : .none
        case .discarding(_, let since): return now - since > TimeAmount(limits.bodyGrace) ? close() : .none
        case .head(let since):
            return now - since > TimeAmount(limits.headTimeout) ? .reject(.headTimeout) : .none
        case .lingering(let since): return now - since > Self.lingerTime ? close() : .none
        case .exchange(let exchange): return tick(exchange, elapsed)
        case .upgraded, .closed: return .none
        }
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

    // MARK: Steps

    private mutating func nextHead() -> Action {
        guard isWritable else { return .wait }
        let part: HTTP1Parser.Part
        do {
            part = try parser.next()
        } catch .http2Preface {
            phase = .upgraded
            return .switchToHTTP2(parser.takeRemainder())
        } catch {
            phase = .lingering(since: now)
            return .reject(error)
        }
        let head: RequestHead
        switch part {
        case .head(let parsed): head = parsed
        case .needsMore:
            // A request that can no longer be completed ends the connection, and so do empty lines before none.
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
        let whole = parser.takeWholeBody()
        phase = .exchange(
            Exchange(
                keepAlive: head.keepAlive, clock: ExchangeClock(now: now),
                isBodyComplete: whole != nil, isBodyWanted: !head.expectsContinue))
        if let whole { return .start(head, .whole(whole)) }
        if case .length(let length) = head.framing { return .start(head, .coming(length: length)) }
        return .start(head, .coming(length: nil))
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
