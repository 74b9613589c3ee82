package import FoundationEssentials

/// Decides which reports of one device are fixes, and which fix is its current position.
///
/// ```swift
/// var filter = FixFilter()
/// switch filter.receive(report, at: clock.now) {
/// case .current(let fix): …     // Show it, look at the geofences, store it.
/// case .historical(let fix): …  // Store it.
/// case .rejected(let reason): … // Count it.
/// }
/// ```
/// Time is what the caller says. Two reports need not arrive in the order of their times: one that is older than the
/// newest is history, and never moves the current position back.
package struct FixFilter: Sendable {
    package enum Outcome: Sendable, Equatable {
        /// The newest fix.
        case current(Fix)
        /// A fix that is older than the newest one, or too old to be shown as the current position.
        case historical(Fix)
        case rejected(FixRejection)
    }

    package let configuration: Configuration
    /// The last fix that was let through as current.
    package private(set) var current: Fix?
    /// What is known of the device's clock.
    package private(set) var clock = DeviceClock()

    private var recent = RecentFixes()
    private var allowance = RateAllowance()
    /// The time of the newest fix, whether or not it was dropped for saying nothing new.
    private var newest: Date?
    private var isResting = false
    private var suspects: (last: Fix, count: Int)?

    package init(configuration: Configuration = Configuration()) {
        self.configuration = configuration
    }

    /// Examines a report.
    /// - Parameter now: The time of receipt.
    package mutating func receive(_ report: FixReport, at now: Date) -> Outcome {
        do throws(FixRejection) {
            if let rate = configuration.rate, !allowance.take(at: now, limit: rate) { throw .rate }
            let fix = try Fix(report, receivedAt: now, latest: configuration.maximumLead == nil ? now : nil)
            // Before the checks of time: the offset of a clock that is wrong should be known.
            clock.note(lag: now.timeIntervalSince(report.at), at: now)
            try configuration.check(fix)
            try checkDuplicate(fix)
            let isNewest = newest.map { fix.time > $0 } ?? true
            guard isNewest, configuration.maximumAge.map({ fix.lag <= $0 }) ?? true else {
                try checkHistory(fix)
                recent.insert(fix)
                return .historical(fix)
            }
            try checkSpeed(fix)
            newest = fix.time
            try checkMovement(fix)
            accept(fix)
            return .current(fix)
        } catch {
            return .rejected(error)
        }
    }

    /// Takes over a fix that another process has accepted as current.
    package mutating func adopt(_ fix: Fix) {
        if let newest, newest >= fix.time { return }
        newest = fix.time
        isResting = false
        accept(fix)
    }

    private mutating func accept(_ fix: Fix) {
        recent.insert(fix)
        current = fix
        suspects = nil
    }
}

extension FixFilter {
    private func checkDuplicate(_ fix: Fix) throws(FixRejection) {
        guard configuration.dropsDuplicates else { return }
        // A device that starts anew uses its sequence numbers again, so that only the last ones are compared.
        let isRepeated = fix.sequence.map { number in recent.fixes.suffix(8).contains { $0.sequence == number } }
        if isRepeated ?? false || recent.contains(fix.time) { throw .duplicate }
    }

    private func checkHistory(_ fix: Fix) throws(FixRejection) {
        if configuration.dropsDuplicates, recent.isFull, let oldest = recent.fixes.first, fix.time < oldest.time {
            throw .stale
        }
        let neighbors = recent.neighbors(of: fix.time)
        if let speed = configuration.speed, !neighbors.allSatisfy({ speed.allows($0, fix) }) { throw .speed }
        // A device that sends a batch again includes fixes that were dropped at rest.
        if let limit = configuration.static, let before = neighbors.first, before.time <= fix.time,
            before.place.distance(to: fix.place) < limit.distance,
            fix.time.timeIntervalSince(before.time) < limit.time
        {
            throw .static
        }
    }

    private mutating func checkSpeed(_ fix: Fix) throws(FixRejection) {
        guard let limit = configuration.speed else { return }
        if recent.neighbors(of: fix.time).allSatisfy({ limit.allows($0, fix) }) { return }
        let agrees = suspects.map { $0.last.time < fix.time && limit.allows($0.last, fix) } ?? false
        let count = agrees ? (suspects?.count ?? 0) + 1 : 1
        suspects = (fix, count)
        guard count >= limit.confirmations else { throw .speed }
        // The fixes so far were wrong, or of another place.
        recent = RecentFixes()
        isResting = false
        current = nil
    }

    private mutating func checkMovement(_ fix: Fix) throws(FixRejection) {
        guard let current else { return }
        let distance = current.place.distance(to: fix.place)
        let seconds = fix.time.timeIntervalSince(current.time)
        if let limit = configuration.static {
            let wasResting = isResting
            isResting = distance < limit.distance && (fix.speed ?? 0) < 1
            // The first fix at rest is let through, as the stop itself is news.
            if isResting, !wasResting { return }
            if isResting, seconds < limit.time {
                suspects = nil
                throw .static
            }
        }
        if let limit = configuration.distance, distance < limit.distance, seconds < limit.time { throw .distance }
    }
}
