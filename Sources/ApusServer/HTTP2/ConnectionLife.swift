import NIOCore

/// What makes an HTTP/2 connection end before anybody asks for it: its age, a peer that is not there any more, and one that
/// asks all the time whether this side is (gRFC A8 and A9).
struct ConnectionLife {
    enum Step: Equatable {
        case none
        /// Ask the peer whether it is there.
        case ping
        /// Take no new requests; those there are may end.
        case retire
        case abort
    }

    private let limits: ServerLimits
    private let retirement: NIODeadline?
    private var isRetired = false
    private var lastRead: NIODeadline
    private var askedSince: NIODeadline?
    private var lastPing: NIODeadline?
    private var strikes = 0

    private static let mostStrikes = 2

    /// - Parameter random: From -1 to 1: connections that began together are not to end together.
    init(_ limits: ServerLimits, now: NIODeadline, random: Double = .random(in: -1...1)) {
        self.limits = limits
        lastRead = now
        retirement = limits.connectionAge.map { age in now + TimeAmount(age * (1 + random / 10)) }
    }

    /// Bytes came.
    mutating func read(now: NIODeadline) {
        lastRead = now
        askedSince = nil
    }

    /// A response, or a part of one, went out.
    mutating func wrote() { strikes = 0 }

    /// The peer asked whether this side is there.
    /// - Returns: Whether it does so too often.
    mutating func pinged(now: NIODeadline) -> Bool {
        defer { lastPing = now }
        guard let lastPing, now - lastPing < TimeAmount(limits.clientPingInterval) else { return false }
        strikes += 1
        return strikes > Self.mostStrikes
    }

    /// - Parameter hasStreams: Whether requests are under way. A connection without any ends by its idle time.
    mutating func tick(now: NIODeadline, hasStreams: Bool) -> Step {
        if let retirement, now >= retirement {
            if isRetired { return now - retirement > TimeAmount(limits.connectionAgeGrace) ? .abort : .none }
            isRetired = true
            return .retire
        }
        guard hasStreams else { return .none }
        if let askedSince { return now - askedSince > TimeAmount(limits.pingTimeout) ? .abort : .none }
        guard now - lastRead > TimeAmount(limits.pingInterval) else { return .none }
        askedSince = now
        return .ping
    }
}
