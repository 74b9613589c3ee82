import FoundationEssentials

/// The straight way between two fixes.
struct Leg {
    let from: Fix
    let to: Fix
    let length: Double

    /// Returns `nil` if the fixes are too far apart in time, so that the way between them is not known.
    init?(from: Fix, to: Fix, maximumGap: TimeInterval) {
        guard to.time.timeIntervalSince(from.time) <= maximumGap else { return nil }
        self.from = from
        self.to = to
        length = from.place.distance(to: to.place)
    }

    func time(at fraction: Double) -> Date {
        // Exact at the ends, so that an event at a fix has its time.
        if fraction <= 0 { return from.time }
        return fraction >= 1 ? to.time : from.time + to.time.timeIntervalSince(from.time) * fraction
    }
}
