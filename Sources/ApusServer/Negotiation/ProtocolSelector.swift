import NIOCore

/// Decides which version of HTTP a connection speaks, without doing any I/O.
///
/// A connection begins with up to three stages, in this order: the PROXY header of a load balancer, the TLS handshake,
/// and, unless the handshake has negotiated a protocol, the first bytes. A client that begins with the HTTP/2
/// connection preface speaks HTTP/2 (RFC 9113 §3.3, §3.4), any other HTTP/1.1.
///
/// Each method reports an event and returns the action to perform. After any action but ``Action/wait``, the decision is
/// made, and every further event is ignored.
struct ProtocolSelector {
    enum Action: Equatable {
        /// Wait for the next event.
        case wait
        /// Serve HTTP/1.1, beginning with these bytes.
        /// - Parameter headSince: When the first of them was received; `nil` if there are none.
        case http1(ByteBuffer, headSince: NIODeadline?)
        /// Serve HTTP/2, beginning with these bytes, which include the connection preface if they are not empty.
        case http2(ByteBuffer)
        case close
    }

    private enum Stage {
        /// Waiting for the PROXY header.
        case proxyHeader
        /// Waiting for the end of the TLS handshake.
        case handshake
        /// Waiting for the first byte.
        case firstBytes(since: NIODeadline)
        /// The bytes so far are the beginning of the connection preface.
        case preface(ByteBuffer, since: NIODeadline)
        /// The protocol has been selected, or the connection is being closed.
        case finished
    }

    private let limits: ServerLimits
    private let isEncrypted: Bool
    private let openedAt: NIODeadline
    private var stage: Stage
    private var isDraining = false

    /// - Parameters:
    ///   - awaitsProxyHeader: Whether the connection must begin with a PROXY header.
    ///   - isEncrypted: Whether the connection uses TLS.
    init(limits: ServerLimits, awaitsProxyHeader: Bool, isEncrypted: Bool, now: NIODeadline) {
        self.limits = limits
        self.isEncrypted = isEncrypted
        openedAt = now
        stage =
            if awaitsProxyHeader { .proxyHeader } else if isEncrypted { .handshake } else { .firstBytes(since: now) }
    }

    // MARK: Events

    mutating func receivedProxyHeader(now: NIODeadline) -> Action {
        switch stage {
        case .proxyHeader:
            stage = isEncrypted ? .handshake : .firstBytes(since: now)
            return .wait
        case .handshake, .firstBytes, .preface, .finished: return .wait
        }
    }

    /// Called when the TLS handshake is complete.
    /// - Parameter negotiatedProtocol: The protocol that was selected by ALPN (RFC 7301), if any.
    mutating func completedHandshake(negotiatedProtocol: String?, now: NIODeadline) -> Action {
        switch stage {
        case .handshake:
            switch negotiatedProtocol {
            case "h2": return finish(.http2(ByteBuffer()))
            case "http/1.1": return finish(.http1(ByteBuffer(), headSince: nil))
            default:
                stage = .firstBytes(since: now)
                return .wait
            }
        case .proxyHeader, .firstBytes, .preface, .finished: return .wait
        }
    }

    mutating func received(_ bytes: ByteBuffer, now: NIODeadline) -> Action {
        switch stage {
        // The handlers of these stages pass on nothing before the stage has ended.
        case .proxyHeader, .handshake: return finish(.close)
        case .firstBytes: return bytes.readableBytes > 0 ? select(by: bytes, since: now) : .wait
        case .preface(var earlier, let since):
            earlier.writeImmutableBuffer(bytes)
            return select(by: earlier, since: since)
        case .finished: return .wait
        }
    }

    /// Called when the peer has closed its sending side. What it has sent is no complete request.
    mutating func inputClosed() -> Action {
        switch stage {
        case .proxyHeader, .handshake, .firstBytes, .preface: return finish(.close)
        case .finished: return .wait
        }
    }

    /// Begins shutdown. A connection that was opened a moment ago may have a request in transit and gets time to
    /// deliver it.
    mutating func drain(now: NIODeadline) -> Action {
        isDraining = true
        return tick(now: now)
    }

    /// Checks the timeouts. Called a few times per second.
    mutating func tick(now: NIODeadline) -> Action {
        let headTimeout = TimeAmount(limits.headTimeout)
        let drainTimeout = HTTP1StateMachine.drainTimeout
        switch stage {
        case .proxyHeader, .handshake:
            let timeout = isDraining ? min(headTimeout, drainTimeout) : headTimeout
            return now - openedAt > timeout ? finish(.close) : .wait
        case .firstBytes(let since):
            let timeout = isDraining ? drainTimeout : TimeAmount(limits.idleTimeout)
            return now - since > timeout ? finish(.close) : .wait
        case .preface(let bytes, let since):
            // HTTP/1.1 answers a head that has timed out; HTTP/2 could not.
            return now - since > headTimeout ? finish(.http1(bytes, headSince: since)) : .wait
        case .finished: return .wait
        }
    }

    // MARK: Transitions

    /// Compares the bytes with the connection preface. The first byte that differs decides.
    private mutating func select(by bytes: ByteBuffer, since: NIODeadline) -> Action {
        let preface = FrameReader.preface
        let count = min(bytes.readableBytes, preface.count)
        guard bytes.readableBytesView.prefix(count).elementsEqual(preface.prefix(count)) else {
            return finish(.http1(bytes, headSince: since))
        }
        guard count == preface.count else {
            stage = .preface(bytes, since: since)
            return .wait
        }
        return finish(.http2(bytes))
    }

    private mutating func finish(_ action: Action) -> Action {
        stage = .finished
        return action
    }
}
