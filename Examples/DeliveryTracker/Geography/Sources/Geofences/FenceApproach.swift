import FoundationEssentials

/// The movement of a subject towards a fence that it is outside of.
struct FenceApproach: Sendable {
    /// The distance from the border at the last fix, in metres.
    private(set) var distance: Double
    private var time: Date
    /// The greatest distance, from which the subject has come nearer.
    private var farthest: Double
    /// The smoothed speed of approach in metres per second, negative if the subject moves away.
    private var speed = 0.0
    /// The distance at which the arrival was announced. The next one is announced after the subject has been away.
    private var announcedAt: Double?

    /// How fast the speed follows changes, in seconds.
    private static let smoothing = 20.0

    init(distance: Double, time: Date) {
        self.distance = distance
        self.time = time
        farthest = distance
    }

    /// Creates the state of a subject that leaves the fence, and does not arrive before it has been away.
    init(leavingAt distance: Double, time: Date) {
        self.init(distance: distance, time: time)
        announcedAt = 0
    }

    /// Takes notice of the distance of a newer fix.
    /// - Returns: Whether the subject is arriving, once for each approach.
    mutating func update(distance new: Double, fix: Fix, configuration: GeofenceConfiguration) -> Bool {
        let seconds = fix.time.timeIntervalSince(time)
        let isNearer = new < distance
        speed += ((distance - new) / seconds - speed) * (1 - exponential(-seconds / Self.smoothing))
        (distance, time, farthest) = (new, fix.time, max(farthest, new))

        let margin = max(configuration.hysteresis, fix.accuracy ?? 0)
        if let announcedAt {
            guard new > 2 * max(announcedAt, configuration.arrivingDistance ?? 0, margin) else { return false }
            self.announcedAt = nil
            farthest = new
            return false
        }
        let isNear = configuration.arrivingDistance.map { new <= $0 } ?? false
        let isSoon = configuration.arrivingTime.map { new <= $0 * speed } ?? false
        // A fix that is nearer by less than the inaccuracy is no approach.
        guard isNearer, farthest - new >= margin, isNear || isSoon else { return false }
        announcedAt = new
        return true
    }
}
