package import FoundationEssentials

/// When a driver may arrive. It is an estimate from the distance as the crow flies and the speed so far: it knows neither
/// roads nor traffic. Show the interval, not a number alone.
package struct ArrivalEstimate: Codable, Sendable, Equatable {
    package enum Basis: String, Codable, Sendable {
        /// The speed of this driver.
        case measuredSpeed
        /// A usual speed, as this driver has not moved for long enough.
        case assumedSpeed
    }

    /// The seconds until the arrival: the best guess.
    package let expected: TimeInterval
    /// The seconds until the arrival if all goes well.
    package let low: TimeInterval
    /// The seconds until the arrival if it does not.
    package let high: TimeInterval
    /// The length of the way in metres, with the detours that roads make.
    package let distance: Double
    /// The speed in metres per second that the estimate assumes.
    package let speed: Double
    package let basis: Basis
}

extension ArrivalEstimate: CustomStringConvertible {
    /// For example "estimated 4–9 min".
    package var description: String {
        let (low, high) = (minutes(low, .down), max(1, minutes(high, .up)))
        return low < high ? "estimated \(low)–\(high) min" : "estimated \(high) min"
    }

    private func minutes(_ seconds: TimeInterval, _ rule: FloatingPointRoundingRule) -> Int {
        Int(exactly: (min(seconds, 1e9) / 60).rounded(rule)) ?? 0
    }
}
