import ApusCore
import FoundationEssentials

/// The leases of other processes, as observed by this process. Live processes renew their leases; those of dead
/// processes stay unchanged.
struct ObservedLeases {
    /// The lease of one attempt at a job.
    struct Lease: Hashable, Sendable {
        let id: JobRecord.ID
        let fence: Int
        let until: Date
    }

    private var firstSeen: [Lease: Duration] = [:]

    /// Records the current leases. All others are dropped, because they were renewed or have ended.
    mutating func record(_ leases: [Lease], uptime: Duration) {
        let known = firstSeen
        firstSeen = [:]
        for lease in leases { firstSeen[lease] = known[lease] ?? uptime }
    }

    /// Returns the leases that have not changed for at least a duration.
    func unchanged(for duration: Duration, uptime: Duration) -> [Lease] {
        firstSeen.filter { uptime - $0.value >= duration }.map(\.key)
    }
}
