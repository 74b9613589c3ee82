import ApusCore
import FoundationEssentials

/// Decides where each claim of a queue begins.
///
/// While many jobs wait, a claim begins where the previous one has ended. From time to time, and when little is found, it
/// begins at the start, because jobs with earlier times may have been committed since. These claims take at most a tenth
/// of the time, however many dead entries the index begins with.
struct ClaimSchedule {
    private(set) var claim: Claim
    private var allowed = Duration.zero
    private var beginsAtStart = true
    /// When a claim may begin at the start again, if the last one did not.
    var nextStart: Duration? { beginsAtStart ? nil : allowed }

    init(queue: String, kinds: [String]) {
        claim = Claim(queue: queue, kinds: kinds, worker: WorkerID(), positions: Claim.start)
    }

    mutating func next(_ worker: WorkerID, uptime: Duration) -> Claim {
        beginsAtStart = uptime >= allowed
        if beginsAtStart { claim.positions = Claim.start }
        return Claim(queue: claim.queue, kinds: claim.kinds, worker: worker, positions: claim.positions)
    }

    mutating func record(_ jobs: [JobRecord], from start: Duration, to end: Duration) {
        if beginsAtStart { allowed = end + (end - start) * 10 }
        for job in jobs { claim.positions[job.priority.rawValue] = JobPosition(runAt: job.runAt, id: job.id) }
    }
}
