import ApusCore
import FoundationEssentials

/// The leases of other processes as one process sees them: live processes renew theirs, those of dead ones stay as they are.
struct ObservedLeases {
    /// One attempt at a job, and the end of its lease.
    struct Lease: Hashable, Sendable {
        let id: JobRecord.ID
        let fence: Int
        let until: Date
    }

    private var firstSeen: [Lease: Duration] = [:]

    /// Notes those that there are now. Others are dropped: they were renewed, or have ended.
    mutating func note(_ leases: [Lease], uptime: Duration) {
        let known = firstSeen
        firstSeen = [:]
        for lease in leases { firstSeen[lease] = known[lease] ?? uptime }
    }

    /// Those that have been as they are for some time.
    func unchanged(for duration: Duration, uptime: Duration) -> [Lease] {
        firstSeen.filter { uptime - $0.value >= duration }.map(\.key)
    }
}
