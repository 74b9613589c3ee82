import FoundationEssentials

/// An average of speeds in metres per second that weighs recent ones more (exponential smoothing).
struct SmoothedSpeed: Sendable {
    let timeConstant: TimeInterval
    /// The time for which the speed counts that is assumed at first, in seconds.
    private let headStart: TimeInterval
    /// For how long speeds have been noted, in seconds.
    private(set) var duration: TimeInterval = 0
    private(set) var average: Double
    /// The average difference from the average.
    private(set) var deviation: Double

    /// - Parameter assumed: The speed before any is noted, which is taken to be uncertain by three quarters.
    init(assumed: Double, for headStart: TimeInterval, timeConstant: TimeInterval) {
        self.timeConstant = max(1, timeConstant)
        self.headStart = max(1, headStart)
        average = assumed
        deviation = 0.75 * assumed
    }

    /// - Parameter seconds: For how long the speed lasted.
    mutating func note(_ speed: Double, for seconds: TimeInterval) {
        // At first, all speeds weigh the same; otherwise the assumed one would weigh the most for long.
        let weight = max(1 - exponential(-seconds / timeConstant), seconds / (headStart + duration + seconds))
        duration += seconds
        deviation += (abs(speed - average) - deviation) * weight
        average += (speed - average) * weight
    }
}
