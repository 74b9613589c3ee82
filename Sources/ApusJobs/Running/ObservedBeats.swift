/// A sign of life of a worker process.
struct Beat: Hashable, Sendable {
    let worker: WorkerID
    let number: Int
}

/// The beats of other processes, as observed by this process. Live processes beat; those of dead processes stay unchanged.
struct ObservedBeats {
    private var firstSeen: [Beat: Duration] = [:]

    /// Records the current beats. All others are dropped, because there were later ones or the processes have stopped.
    mutating func record(_ beats: [Beat], uptime: Duration) {
        let known = firstSeen
        firstSeen = [:]
        for beat in beats { firstSeen[beat] = known[beat] ?? uptime }
    }

    /// Returns the beats that have been the last ones for at least a duration.
    func unchanged(for duration: Duration, uptime: Duration) -> [Beat] {
        firstSeen.filter { uptime - $0.value >= duration }.map(\.key)
    }
}
