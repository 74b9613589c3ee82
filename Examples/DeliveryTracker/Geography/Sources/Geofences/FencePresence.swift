import FoundationEssentials

/// What is known of one subject and one fence.
enum FencePresence: Sendable {
    typealias Change = (kind: GeofenceEventKind, time: Date)

    case unknown
    case outside(FenceApproach)
    /// Inside, or outside by less than the hysteresis, since it last crossed the border.
    case inside(crossedBorderAt: Date?)

    var isInside: Bool? {
        switch self {
        case .unknown: nil
        case .outside: false
        case .inside: true
        }
    }

    /// Takes notice of a fix.
    /// - Parameter leg: The way from the fix before, if it is known.
    mutating func update(
        in fence: Geofence, fix: Fix, leg: Leg?, configuration: GeofenceConfiguration
    ) -> [Change] {
        let distance = fence.signedDistance(to: fix.place)
        let hasLeft = distance > max(configuration.hysteresis, fix.accuracy ?? 0)
        switch self {
        case .unknown:
            guard distance > 0 else { return enter(at: fix.time) }
            self = .outside(FenceApproach(distance: distance, time: fix.time))
            return []

        case .outside(var approach):
            let stretches = stretches(of: leg, in: fence)
            if distance <= 0 {
                let entry = stretches.last.flatMap { $0.upperBound >= 1 - 1e-6 ? leg?.time(at: $0.lowerBound) : nil }
                return enter(at: entry ?? fix.time)
            }
            if let leg, let first = stretches.first, let last = stretches.last {
                let entry = enter(at: leg.time(at: first.lowerBound))
                self = .inside(crossedBorderAt: leg.time(at: last.upperBound))
                return entry + (hasLeft ? exit(distance, fix) : [])
            }
            let isArriving = approach.update(distance: distance, fix: fix, configuration: configuration)
            self = .outside(approach)
            return isArriving ? [(.arriving, fix.time)] : []

        case .inside(let crossedBorderAt):
            guard distance > 0 else {
                self = .inside(crossedBorderAt: nil)
                return []
            }
            let crossing = leg.flatMap { leg in
                stretches(of: leg, in: fence).last.map { leg.time(at: $0.upperBound) }
            }
            self = .inside(crossedBorderAt: crossing ?? crossedBorderAt)
            return hasLeft ? exit(distance, fix) : []
        }
    }

    private mutating func enter(at time: Date) -> [Change] {
        self = .inside(crossedBorderAt: nil)
        return [(.enter, time)]
    }

    private mutating func exit(_ distance: Double, _ fix: Fix) -> [Change] {
        var time = fix.time
        if case .inside(let crossedBorderAt?) = self { time = crossedBorderAt }
        self = .outside(FenceApproach(leavingAt: distance, time: fix.time))
        return [(.exit, time)]
    }

    /// The parts of the way that are inside. A way that is too short to reach the fence is not looked at.
    private func stretches(of leg: Leg?, in fence: Geofence) -> [Stretch] {
        guard let leg else { return [] }
        if case .outside(let approach) = self, approach.distance > leg.length * 1.2 + 1 { return [] }
        return fence.stretches(from: leg.from.place, to: leg.to.place)
    }
}
