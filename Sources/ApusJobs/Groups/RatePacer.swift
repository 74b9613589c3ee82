import ApusCore
import FoundationEssentials

/// Paces starts by the generic cell rate algorithm (ITU-T I.371): one stored time says how much was used.
struct RatePacer {
    /// By how much the clocks of processes may differ.
    private static let skew = 60.0

    private let interval: Double
    private let tolerance: Double
    private let now: Double
    /// The time at which the next start is due if starts are evenly spread, in seconds since 1970.
    private var due: Double

    /// - Parameter stored: The due time that was stored last, in microseconds since 1970. If it is too far in the future, the
    ///   clock was set back since: it says nothing then.
    init(_ rate: JobRate, stored: Int, now: Date) {
        self.now = now.timeIntervalSince1970
        interval = rate.period.seconds / Double(rate.count)
        tolerance = interval * Double(rate.burst - 1)
        due = max(Double(stored) / 1e6, self.now)
        if due > self.now + tolerance + interval + Self.skew { due = self.now }
    }

    /// The stored due times with which a job may not start.
    static func blocked(_ rate: JobRate, now: Date) -> ClosedRange<Int> {
        let pacer = RatePacer(rate, stored: 0, now: now)
        let last = pacer.now + pacer.tolerance
        return Int((last * 1e6).rounded(.up)) + 1...Int((last + pacer.interval + skew) * 1e6)
    }

    /// When the next job may start.
    var next: Double { due - tolerance }

    /// The due time as it is stored.
    var stored: Int { Int((due * 1e6).rounded(.up)) }

    /// Whether a job may start now, which is then recorded.
    mutating func start() -> Bool {
        // Microseconds are lost when the time is stored.
        guard next <= now + 1e-6 else { return false }
        due += interval
        return true
    }
}
