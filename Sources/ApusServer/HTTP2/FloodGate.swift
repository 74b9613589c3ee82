import NIOCore

/// Counts what costs a client little and the server some: requests that are reset before they are answered, settings, frames of
/// nothing. So many
/// in so long a time are a mistake or an attack (CVE-2023-44487, CVE-2019-9512 and their kin).
struct FloodGate {
    /// As many are let through in each ``interval``.
    static let most = 200
    static let interval = TimeAmount.seconds(30)

    private var count = 0
    private var start: NIODeadline

    init(now: NIODeadline) { start = now }

    /// - Throws: An ``HTTP2Failure`` when it was one too many.
    mutating func pass(now: NIODeadline) throws(HTTP2Failure) {
        if now - start > Self.interval { (count, start) = (0, now) }
        count += 1
        if count > Self.most {
            throw HTTP2Failure(
                .enhanceYourCalm, "More than \(Self.most) resets, settings or empty frames in a short time.")
        }
    }
}
