package import FoundationEssentials

extension FixFilter {
    /// What the filter drops. Each part can be switched off by `nil` or `false`.
    ///
    /// Positions that are wrong (`zero`, `accuracy`, `future`, `speed`, …) are always dropped. Only those that are right
    /// and say nothing new (`static`, `distance`) are let through every so often.
    package struct Configuration: Sendable {
        /// Whether the coordinates (0, 0) are dropped.
        package var dropsZero = true
        /// Whether a report of the time or the sequence number of an accepted fix is dropped.
        package var dropsDuplicates = true
        /// The worst accuracy, in metres. Reports without an accuracy are let through.
        package var maximumAccuracy: Double? = 100
        /// The greatest age of a current position, in seconds. An older one is history.
        package var maximumAge: TimeInterval? = 60
        /// The greatest age of a position for the history, in seconds. An older one is stale.
        package var maximumHistoryAge: TimeInterval? = 900
        /// How far a device's clock may be ahead of the server's, in seconds. Without this limit, the time of receipt
        /// takes the place of a time in the future, as a clock of the year 2099 would make all later fixes history.
        package var maximumLead: TimeInterval? = 10
        package var speed: SpeedLimit? = SpeedLimit()
        package var `static`: MovementLimit? = MovementLimit(distance: 5, unlessAfter: 30)
        package var distance: MovementLimit?
        package var rate: RateLimit? = RateLimit(count: 20, per: 10)

        package init() {}

        /// A configuration that drops only what is not a position.
        package static var off: Configuration {
            var configuration = Configuration()
            (configuration.dropsZero, configuration.dropsDuplicates) = (false, false)
            (configuration.maximumAccuracy, configuration.maximumAge) = (nil, nil)
            (configuration.maximumHistoryAge, configuration.maximumLead) = (nil, nil)
            (configuration.speed, configuration.static, configuration.rate) = (nil, nil, nil)
            return configuration
        }
    }

    /// The speed above which two fixes cannot both be right.
    package struct SpeedLimit: Sendable {
        /// In metres per second. 70 are 252 km/h.
        package var maximum = 70.0
        /// A distance in metres that is no jump at any speed, in addition to the accuracies of both fixes.
        package var tolerance = 50.0
        /// How many fixes in a row must agree with each other, and not with the one before, to replace it: after a wrong
        /// first fix, or a flight with the device switched off.
        package var confirmations = 3

        package init() {}
    }

    /// The distance below which a fix is dropped, and the time after which it is let through as a sign of life.
    package struct MovementLimit: Sendable {
        /// In metres, from the last fix that was let through.
        package var distance: Double
        /// In seconds.
        package var time: TimeInterval

        package init(distance: Double, unlessAfter time: TimeInterval) {
            self.distance = distance
            self.time = time
        }
    }

    /// How many reports a device can send in a time, in any burst.
    package struct RateLimit: Sendable {
        package var count: Int
        /// In seconds.
        package var period: TimeInterval

        package init(count: Int, per period: TimeInterval) {
            self.count = count
            self.period = period
        }
    }
}
