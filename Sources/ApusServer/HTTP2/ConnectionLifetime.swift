import NIOCore

/// Determines when the server ends an HTTP/2 connection on its own: because of its age, because the peer no longer
/// responds, or because the peer pings too often (gRFC A8 and A9).
struct ConnectionLifetime {
    enum Step: Equatable {
        case none
        /// Ping the peer.
        case ping
        /// Accept no new requests; those in flight may finish.
        case retire
        /// Close the connection immediately.
        case abort
    }

    private let limits: ServerLimits
    private let retirement: NIODeadline?
    private var isRetired = false
    private var lastRead: NIODeadline
    private var pingedAt: NIODeadline?
    private var lastPing: NIODeadline?
    private var strikes = 0

    private static let maximumStrikes = 2

    /// - Parameter random: A number from -1 to 1 that varies the age, so that connections that began together do not
    ///   end together.
    init(_ limits: ServerLimits, now: NIODeadline, random: Double = .random(in: -1...1)) {
        self.limits = limits
        lastRead = now
        retirement = limits.connectionAge.map { age in now + TimeAmount(age * (1 + random / 10)) }
    }

    /// Called when bytes have been received.
    mutating func receivedBytes(now: NIODeadline) {
        lastRead = now
        pingedAt = nil
    }

    /// Called when a response, or part of one, has been sent.
    mutating func sentResponse() { strikes = 0 }

    /// Called when the peer has sent a ping.
    /// - Returns: Whether it pings too often.
    mutating func receivedPing(now: NIODeadline) -> Bool {
        defer { lastPing = now }
        guard let lastPing, now - lastPing < TimeAmount(limits.clientPingInterval) else { return false }
        strikes += 1
        return strikes > Self.maximumStrikes
    }

    /// - Parameter hasStreams: Whether requests are in flight. A connection without any is closed by its idle timeout.
    mutating func tick(now: NIODeadline, hasStreams: Bool) -> Step {
        if let retirement, now >= retirement {
            if isRetired { return now - retirement > TimeAmount(limits.connectionAgeGrace) ? .abort : .none }
            isRetired = true
            return .retire
        }
        guard hasStreams else { return .none }
        if let pingedAt { return now - pingedAt > TimeAmount(limits.pingTimeout) ? .abort : .none }
        guard now - lastRead > TimeAmount(limits.pingInterval) else { return .none }
        pingedAt = now
        return .ping
    }
}
