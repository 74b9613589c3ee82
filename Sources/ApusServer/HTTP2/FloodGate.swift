import NIOCore

/// Limits what costs a client little and the server more: requests that the client cancels before they are answered,
/// violations that make the server reset a stream, SETTINGS frames and empty frames. A large number of them in a short
/// time is a mistake or an attack (CVE-2023-44487, CVE-2025-8671, CVE-2019-9512 and similar ones).
///
/// A client that cancels requests, because their deadlines pass or their users leave, usually lets as many finish. So
/// each request that was completed makes up for one that was cancelled.
struct FloodGate {
    /// The maximum number of events in each ``interval``, besides the cancellations that completed requests make up
    /// for.
    static let limit = 200
    static let interval = TimeAmount.seconds(30)

    private var events = 0
    private var cancellations = 0
    private var completions = 0
    private var start: NIODeadline

    init(now: NIODeadline) { start = now }

    /// Counts a violation, a SETTINGS frame or an empty frame.
    /// - Throws: An ``HTTP2Failure`` if there are too many events.
    mutating func record(now: NIODeadline) throws(HTTP2Failure) {
        advance(to: now)
        events += 1
        try check()
    }

    /// Counts a request that the client cancelled before it was answered.
    /// - Throws: An ``HTTP2Failure`` if there are too many events.
    mutating func recordCancellation(now: NIODeadline) throws(HTTP2Failure) {
        advance(to: now)
        cancellations += 1
        try check()
    }

    /// Counts a request that was answered and ended by both sides.
    mutating func recordCompletion(now: NIODeadline) {
        advance(to: now)
        completions += 1
    }

    private mutating func advance(to now: NIODeadline) {
        if now - start > Self.interval { self = FloodGate(now: now) }
    }

    private func check() throws(HTTP2Failure) {
        guard events + max(0, cancellations - completions) > Self.limit else { return }
        throw HTTP2Failure(
            .enhanceYourCalm,
            "More than \(Self.limit) cancelled requests, violations, SETTINGS frames or empty frames in a short time.")
    }
}
