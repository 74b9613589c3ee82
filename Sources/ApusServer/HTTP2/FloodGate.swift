import NIOCore

/// Limits what costs a client little and the server more: requests that are reset before they are answered, SETTINGS
/// frames and empty frames. A large number of them in a short time is a mistake or an attack (CVE-2023-44487,
/// CVE-2019-9512 and similar ones).
struct FloodGate {
    /// The maximum number of events in each ``interval``.
    static let limit = 200
    static let interval = TimeAmount.seconds(30)

    private var count = 0
    private var start: NIODeadline

    init(now: NIODeadline) { start = now }

    /// Counts an event.
    /// - Throws: An ``HTTP2Failure`` if there are too many.
    mutating func record(now: NIODeadline) throws(HTTP2Failure) {
        if now - start > Self.interval { (count, start) = (0, now) }
        count += 1
        if count > Self.limit {
            throw HTTP2Failure(
                .enhanceYourCalm, "More than \(Self.limit) resets, SETTINGS frames or empty frames in a short time.")
        }
    }
}
