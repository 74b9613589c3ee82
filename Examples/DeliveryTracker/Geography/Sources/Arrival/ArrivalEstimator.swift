package import FoundationEssentials

/// Estimates the arrival of one driver from the driver's fixes.
package struct ArrivalEstimator: Sendable {
    private let configuration: Configuration
    private var last: Fix?
    /// The first fix at the place that the driver has not left since.
    private var rest: Fix?
    /// Whether the driver has left the place of the first fix, where it may have waited for long.
    private var hasMoved = false
    private var speed: SmoothedSpeed

    package init(configuration: Configuration = Configuration()) {
        self.configuration = configuration
        speed = SmoothedSpeed(
            assumed: configuration.fallbackSpeed, for: configuration.minimumDuration,
            timeConstant: configuration.timeConstant)
    }

    /// Takes notice of a current fix. One that is not newer than the one before has no effect.
    package mutating func receive(_ fix: Fix) {
        guard let last, let rest else {
            (last, rest) = (fix, fix)
            return
        }
        guard fix.time > last.time else { return }
        self.last = fix
        // Over a shorter distance, inaccuracy looks like speed.
        let distance = rest.place.distance(to: fix.place)
        guard distance >= configuration.standstillRadius else { return }
        self.rest = fix
        let driving = fix.time.timeIntervalSince(last.time)
        // After a gap, the average speed over it says little about now.
        if hasMoved, driving <= configuration.maximumAge {
            // A longer stop is a delivery, not traffic: it says nothing about the speed afterwards.
            let waiting = min(last.time.timeIntervalSince(rest.time), configuration.longestTrafficStop)
            let seconds = max(0, waiting) + driving
            speed.note(min(distance / seconds, configuration.speeds.upperBound), for: seconds)
        }
        hasMoved = true
    }

    /// Estimates the arrival at a place.
    /// - Returns: `nil` if there is no recent fix, or the driver has stood still for too long to say.
    package func estimate(to destination: Place, at now: Date) -> ArrivalEstimate? {
        guard let last, let rest, now.timeIntervalSince(last.time) <= configuration.maximumAge else { return nil }
        let straight = last.place.distance(to: destination)
        guard
            straight <= configuration.arrivalRadius
                || last.time.timeIntervalSince(rest.time) <= configuration.standstill
        else { return nil }

        let isMeasured = speed.duration >= configuration.minimumDuration
        let speeds = configuration.speeds
        let assumed = min(speeds.upperBound, max(speeds.lowerBound, speed.average))
        let spread = min(1, max(0.25, speed.deviation / assumed))
        let distance = straight * max(1, configuration.detourFactor)
        let expected = distance / assumed
        // If all goes well, the road is straight.
        return ArrivalEstimate(
            expected: expected, low: straight / min(assumed * (1 + spread), speeds.upperBound),
            high: expected * (1 + spread), distance: distance, speed: assumed,
            basis: isMeasured ? .measuredSpeed : .assumedSpeed)
    }
}

extension ArrivalEstimator {
    package struct Configuration: Sendable {
        /// How much longer roads are than the straight line. In cities it is 1.2 to 1.4.
        package var detourFactor = 1.3
        /// The time in seconds over which the speed is smoothed, so that stops at traffic lights count.
        package var timeConstant: TimeInterval = 120
        /// The least and the greatest speed that is assumed, in metres per second.
        package var speeds = 1.5...40.0
        /// The speed that is assumed before one is measured, in metres per second.
        package var fallbackSpeed = 7.0
        /// How long the driver must have been observed before the speed counts as measured, in seconds. The speed that is
        /// assumed before counts as much as one of that duration.
        package var minimumDuration: TimeInterval = 30
        /// How much of a stop counts as slow driving, in seconds.
        package var longestTrafficStop: TimeInterval = 30
        /// The age of the last fix in seconds, above which there is no estimate.
        package var maximumAge: TimeInterval = 120
        /// How far a driver who stands still may seem to move, in metres. Speed is measured over this distance.
        package var standstillRadius = 30.0
        /// How long a driver may stand still in seconds, before there is no estimate.
        package var standstill: TimeInterval = 300
        /// The distance in metres at which a driver who stands still has arrived.
        package var arrivalRadius = 30.0

        package init() {}
    }
}
