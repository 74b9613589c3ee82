import Foundation
import Testing

@testable import Geography

@Suite struct ArrivalEstimatorTests {
    /// Metres east of Lisbon.
    private func east(_ metres: Double) -> Place { lisbon.destination(distance: metres, bearing: 90) }

    private func estimator(speed: Double, seconds: Int) -> ArrivalEstimator {
        var estimator = ArrivalEstimator()
        for second in 0...seconds { estimator.receive(Fix(east(speed * Double(second)), at: Double(second))) }
        return estimator
    }

    @Test func `A steady driver arrives after the distance with detours, at the measured speed`() throws {
        let estimator = estimator(speed: 10, seconds: 1500)
        let estimate = try #require(estimator.estimate(to: east(18_000), at: noon + 1500))
        #expect(estimate.basis == .measuredSpeed)
        #expect(abs(estimate.speed - 10) < 0.01)
        #expect(abs(estimate.distance - 3900) < 0.1)
        #expect(abs(estimate.expected - 390) < 0.5)
        #expect(abs(estimate.low - 240) < 0.5 && abs(estimate.high - 487.5) < 0.5)
        #expect(estimate.description == "estimated 4–9 min")
    }

    @Test func `Without a measured speed, a usual one is assumed and the interval is wide`() throws {
        var estimator = ArrivalEstimator()
        #expect(estimator.estimate(to: east(700), at: noon) == nil)
        estimator.receive(Fix(lisbon, at: 0))
        let estimate = try #require(estimator.estimate(to: east(700), at: noon))
        #expect(estimate.basis == .assumedSpeed)
        #expect(abs(estimate.expected - 130) < 0.01)
        #expect(estimate.low < 80 && estimate.high > 220)
    }

    @Test func `A driver with irregular speed has a wider interval`() throws {
        var irregular = ArrivalEstimator()
        var metres = 0.0
        for step in 0..<60 {
            metres += step % 4 < 2 ? 100 : 0
            irregular.receive(Fix(east(metres), at: Double(step * 5)))
        }
        let estimate = try #require(irregular.estimate(to: east(metres + 2000), at: noon + 300))
        let steady = try #require(estimator(speed: 10, seconds: 295).estimate(to: east(4950), at: noon + 300))
        #expect(abs(estimate.speed - 10) < 1)
        #expect(estimate.high - estimate.low > 1.5 * (steady.high - steady.low))
    }

    @Test func `A driver who stands still for too long has no estimate, except at the destination`() {
        var estimator = estimator(speed: 10, seconds: 60)
        for second in stride(from: 65, through: 500, by: 5) {
            estimator.receive(Fix(east(600 + Double(second % 3) * 4), at: Double(second)))
            let estimate = estimator.estimate(to: east(3000), at: noon + Double(second))
            if second <= 350 || second > 365 { #expect((estimate == nil) == (second > 360), "\(second)") }
        }
        #expect(estimator.estimate(to: east(605), at: noon + 500) != nil)
        // It has one again as soon as it moves.
        for second in stride(from: 505, through: 520, by: 5) {
            estimator.receive(Fix(east(600 + Double(second - 500) * 10), at: Double(second)))
        }
        #expect(estimator.estimate(to: east(3000), at: noon + 520) != nil)
    }

    @Test func `An old fix gives no estimate`() {
        let estimator = estimator(speed: 10, seconds: 60)
        #expect(estimator.estimate(to: east(3000), at: noon + 180) != nil)
        #expect(estimator.estimate(to: east(3000), at: noon + 190) == nil)
    }

    @Test func `The speed stays within its bounds`() throws {
        let slow = try #require(estimator(speed: 0.5, seconds: 600).estimate(to: east(1300), at: noon + 600))
        #expect(slow.speed == 1.5)
        let fast = try #require(estimator(speed: 300, seconds: 1200).estimate(to: east(460_000), at: noon + 1200))
        #expect(fast.speed > 39.9 && fast.speed <= 40)
        #expect(fast.low <= fast.expected && fast.expected <= fast.high)
    }

    @Test func `Late fixes and absurd numbers are harmless`() {
        var configuration = ArrivalEstimator.Configuration()
        configuration.detourFactor = .nan
        configuration.timeConstant = -1
        configuration.maximumAge = .infinity
        var estimator = ArrivalEstimator(configuration: configuration)
        for seconds in [0, -50, 1e300, -1e300, 100, 5e9] {
            estimator.receive(Fix(east(seconds.remainder(dividingBy: 1000)), at: seconds, accuracy: 1e300))
            if let estimate = estimator.estimate(to: Place(90, 0), at: noon + seconds) {
                #expect(estimate.low <= estimate.expected && estimate.expected <= estimate.high)
                #expect(!estimate.description.isEmpty)
            }
        }
        let endless = ArrivalEstimate(
            expected: .infinity, low: .nan, high: .infinity, distance: 1, speed: 0, basis: .assumedSpeed)
        #expect(!endless.description.isEmpty)
    }
}
