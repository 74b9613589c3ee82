import Foundation
import Geography
import Testing

@Suite struct FixFilterTests {
    /// A report from a place east of Lisbon, at a time of the device.
    private func report(
        _ metres: Double, at seconds: Double, accuracy: Double? = nil, speed: Double? = nil, sequence: Int? = nil
    ) -> FixReport {
        let place = lisbon.destination(distance: metres, bearing: 90)
        return FixReport(
            latitude: place.latitude, longitude: place.longitude, at: noon + seconds, accuracy: accuracy, speed: speed,
            sequence: sequence)
    }

    private func filter(_ change: (inout FixFilter.Configuration) -> Void) -> FixFilter {
        var configuration = FixFilter.Configuration.off
        change(&configuration)
        return FixFilter(configuration: configuration)
    }

    @Test func `A driver's fixes are current, with both clocks`() throws {
        var filter = FixFilter()
        for second in 0..<100 {
            let now = noon + Double(second) + 0.4
            let outcome = filter.receive(report(Double(second) * 8, at: Double(second), accuracy: 5), at: now)
            guard case .current(let fix) = outcome else {
                Issue.record("The outcome is \(outcome).")
                return
            }
            #expect(fix.deviceTime == noon + Double(second) && fix.receivedAt == now)
            #expect(filter.current == fix)
        }
    }

    @Test func `Numbers that are not finite are malformed, and coordinates out of range invalid`() {
        var filter = FixFilter(configuration: .off)
        for number in [Double.nan, .infinity, -.infinity] {
            #expect(
                filter.receive(FixReport(latitude: number, longitude: 0, at: noon), at: noon) == .rejected(.malformed))
            #expect(
                filter.receive(FixReport(latitude: 1, longitude: number, at: noon), at: noon) == .rejected(.malformed))
            let time = Date(timeIntervalSinceReferenceDate: number)
            #expect(filter.receive(FixReport(latitude: 1, longitude: 1, at: time), at: noon) == .rejected(.malformed))
            #expect(filter.receive(report(0, at: 0, accuracy: number), at: noon) == .rejected(.malformed))
            #expect(filter.receive(report(0, at: 0, speed: number), at: noon) == .rejected(.malformed))
        }
        #expect(filter.receive(report(0, at: 0, accuracy: -1), at: noon) == .rejected(.malformed))
        #expect(filter.receive(FixReport(latitude: 91, longitude: 0, at: noon), at: noon) == .rejected(.invalid))
        #expect(filter.receive(FixReport(latitude: 1e300, longitude: 0, at: noon), at: noon) == .rejected(.invalid))
    }

    @Test func `Each filter drops what it should, and nothing if it is off`() {
        let old = noon + 3600
        let cases: [(FixRejection, FixReport, Date, (inout FixFilter.Configuration) -> Void)] = [
            (.zero, FixReport(latitude: 0, longitude: -0.0, at: noon), noon, { $0.dropsZero = true }),
            (.accuracy, report(0, at: 0, accuracy: 100.1), noon, { $0.maximumAccuracy = 100 }),
            (.future, report(0, at: 10.1), noon, { $0.maximumLead = 10 }),
            (.stale, report(0, at: 0), old, { $0.maximumHistoryAge = 3599 }),
        ]
        for (reason, report, now, change) in cases {
            var strict = filter(change)
            #expect(strict.receive(report, at: now) == .rejected(reason))
            var lenient = FixFilter(configuration: .off)
            guard case .current = lenient.receive(report, at: now) else {
                Issue.record("\(reason) is not off.")
                continue
            }
        }
    }

    @Test func `The limits themselves are let through`() {
        var filter = FixFilter()
        guard case .current = filter.receive(report(0, at: 10, accuracy: 100), at: noon) else {
            Issue.record("The fix was dropped.")
            return
        }
        var other = FixFilter()
        guard case .current = other.receive(report(0, at: 0), at: noon + 60) else {
            Issue.record("The fix was dropped.")
            return
        }
    }

    @Test func `The same time or sequence number is a duplicate, also after others`() {
        var filter = filter { $0.dropsDuplicates = true }
        _ = filter.receive(report(0, at: 0, sequence: 1), at: noon)
        _ = filter.receive(report(10, at: 1, sequence: 2), at: noon + 1)
        #expect(filter.receive(report(10, at: 1, sequence: 3), at: noon + 2) == .rejected(.duplicate))
        #expect(filter.receive(report(20, at: 2, sequence: 2), at: noon + 2) == .rejected(.duplicate))
        #expect(filter.receive(report(0, at: 0, sequence: 1), at: noon + 3) == .rejected(.duplicate))
    }

    @Test func `A device that starts anew may count from the start`() {
        var filter = filter { $0.dropsDuplicates = true }
        for number in 1...20 { _ = filter.receive(report(0, at: Double(number), sequence: number), at: noon + 20) }
        guard case .current = filter.receive(report(0, at: 21, sequence: 1), at: noon + 21) else {
            Issue.record("The fix was dropped.")
            return
        }
    }

    @Test func `Late fixes go to the history and do not move the current position`() {
        var filter = FixFilter()
        _ = filter.receive(report(0, at: 0), at: noon)
        _ = filter.receive(report(200, at: 20), at: noon + 20)
        let outcome = filter.receive(report(100, at: 10), at: noon + 21)
        guard case .historical(let fix) = outcome else {
            Issue.record("The outcome is \(outcome).")
            return
        }
        #expect(fix.deviceTime == noon + 10 && fix.receivedAt == noon + 21)
        #expect(filter.current?.deviceTime == noon + 20)
        // A late fix is compared with those before and after it in time.
        #expect(filter.receive(report(100_000, at: 12), at: noon + 22) == .rejected(.speed))
        #expect(filter.receive(report(100, at: 10), at: noon + 23) == .rejected(.duplicate))
    }

    @Test func `A newest fix that is too old to be current is history`() {
        var filter = FixFilter()
        guard case .historical = filter.receive(report(0, at: 0), at: noon + 61) else {
            Issue.record("The fix is not history.")
            return
        }
        #expect(filter.current == nil)
        guard case .current = filter.receive(report(900, at: 60), at: noon + 62) else {
            Issue.record("The fix is not current.")
            return
        }
        #expect(filter.receive(report(0, at: 10), at: noon + 911) == .rejected(.stale))
    }

    @Test func `A jump is dropped, and inaccuracy is no jump`() {
        var filter = filter { $0.speed = .init() }
        _ = filter.receive(report(0, at: 0, accuracy: 30), at: noon)
        #expect(filter.receive(report(1000, at: 1), at: noon + 1) == .rejected(.speed))
        // 50 m of tolerance, 30 + 20 m of inaccuracy and 70 m of driving.
        guard case .current = filter.receive(report(169, at: 1, accuracy: 20), at: noon + 1) else {
            Issue.record("The fix was dropped.")
            return
        }
    }

    @Test func `A wrong first fix does not make all later ones jumps`() {
        var filter = FixFilter()
        _ = filter.receive(report(4_000_000, at: 0), at: noon)
        #expect(filter.receive(report(0, at: 1), at: noon + 1) == .rejected(.speed))
        #expect(filter.receive(report(10, at: 2), at: noon + 2) == .rejected(.speed))
        for second in 3..<20 {
            let outcome = filter.receive(report(Double(second * 10), at: Double(second)), at: noon + Double(second))
            guard case .current = outcome else {
                Issue.record("The outcome is \(outcome).")
                return
            }
        }
    }

    @Test func `Wrong fixes among right ones never become current`() {
        var filter = FixFilter()
        for second in 0..<60 {
            let isWrong = second % 3 != 0
            let outcome = filter.receive(
                report(isWrong ? 50_000 : Double(second * 10), at: Double(second)), at: noon + Double(second))
            #expect((outcome == .rejected(.speed)) == isWrong)
        }
    }

    @Test func `A device at rest sends a stop, then signs of life, until it moves`() {
        var filter = FixFilter()
        var current: [Int] = []
        for second in 0..<100 {
            let metres = second < 5 ? Double(second) * 10 : second < 90 ? 40 + Double(second % 3) : Double(second) * 10
            let outcome = filter.receive(report(metres, at: Double(second)), at: noon + Double(second))
            if case .current = outcome {
                current.append(second)
            } else {
                #expect(outcome == .rejected(.static))
            }
        }
        #expect(current == [0, 1, 2, 3, 4, 5, 35, 65, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99])
    }

    @Test func `A fix that is older than one dropped at rest is history`() {
        var filter = FixFilter()
        for second in [0.0, 1, 2, 20] { _ = filter.receive(report(0, at: second), at: noon + second) }
        guard case .historical = filter.receive(report(50, at: 10), at: noon + 21) else {
            Issue.record("The fix is not history.")
            return
        }
    }

    @Test func `A batch that is sent again, from before a pause, changes nothing`() {
        var configuration = FixFilter.Configuration()
        configuration.rate = nil
        var filter = FixFilter(configuration: configuration)
        let batch = (0..<300).map { (second: Int) -> FixReport in
            // 40 seconds of driving, then 20 at rest.
            let driven = second / 60 * 40 + min(second % 60, 40)
            return report(Double(driven * 10), at: Double(second))
        }
        for report in batch { _ = filter.receive(report, at: report.at + 1) }
        let current = filter.current
        for report in batch {
            guard case .rejected(let reason) = filter.receive(report, at: noon + 400) else {
                Issue.record("The fix of \(report.at) was let through.")
                return
            }
            #expect([.duplicate, .static, .stale].contains(reason))
        }
        #expect(filter.current == current)
    }

    @Test func `Fixes that are near the one before can be thinned out`() {
        var filter = filter { $0.distance = .init(distance: 99.9, unlessAfter: 30) }
        var current: [Int] = []
        for second in 0...60 {
            let metres = second <= 25 ? Double(second) * 10 : 250
            if case .current = filter.receive(report(metres, at: Double(second)), at: noon + Double(second)) {
                current.append(second)
            }
        }
        #expect(current == [0, 10, 20, 50])
    }

    @Test func `A stop is let through although it is near the fix before`() {
        var filter = filter {
            $0.distance = .init(distance: 100, unlessAfter: 600)
            $0.static = .init(distance: 5, unlessAfter: 60)
        }
        var current: [Int] = []
        for second in [0, 1, 2, 3, 30, 61, 62] {
            if case .current = filter.receive(
                report(min(2, Double(second)), at: Double(second)), at: noon + Double(second))
            {
                current.append(second)
            }
        }
        #expect(current == [0, 1])
    }

    @Test func `A sign of life never lets a wrong position through`() {
        var filter = FixFilter()
        _ = filter.receive(report(0, at: 0), at: noon)
        let later = noon + 3600
        #expect(filter.receive(FixReport(latitude: 0, longitude: 0, at: later), at: later) == .rejected(.zero))
        #expect(filter.receive(report(0, at: 3600 + 60), at: later) == .rejected(.future))
        #expect(filter.receive(report(1_000_000, at: 3600), at: later) == .rejected(.speed))
    }

    @Test func `A flood is limited to the rate, by the time of receipt`() {
        var filter = filter { $0.rate = .init(count: 20, per: 10) }
        var passed = 0
        for number in 0..<1000 {
            let outcome = filter.receive(report(0, at: Double(number) / 100), at: noon + Double(number) / 100)
            if outcome != .rejected(.rate) { passed += 1 }
        }
        #expect(passed == 20 + 19)
        // A server clock that is set back does not lock the device out.
        #expect(filter.receive(report(0, at: -86_400), at: noon - 86_400) == .rejected(.rate))
        #expect(filter.receive(report(0, at: -86_390), at: noon - 86_389) != .rejected(.rate))
    }

    @Test func `A clock that is off is stated, also while its fixes are dropped`() throws {
        var filter = FixFilter()
        #expect(filter.clock.offset == nil && !filter.clock.isOff())
        for second in 0..<60 {
            let delay = [0.9, 0.3, 5, 2][second % 4]
            let outcome = filter.receive(
                report(0, at: Double(second) + 3600), at: noon + Double(second) + delay)
            #expect(outcome == .rejected(.future) || outcome == .rejected(.rate))
        }
        #expect(abs(try #require(filter.clock.offset) + 3599.7) < 0.001)
        #expect(filter.clock.isOff())
        // Once the clock is right, the old offset is forgotten.
        for minute in 1...25 {
            _ = filter.receive(report(0, at: Double(minute) * 60), at: noon + Double(minute) * 60 + 0.2)
        }
        #expect(abs(try #require(filter.clock.offset) - 0.2) < 0.001)
    }

    @Test func `Without the future filter, a time of 2099 does not make all later fixes history`() {
        var filter = FixFilter(configuration: .off)
        let future = Date(timeIntervalSince1970: 4_070_908_800)
        _ = filter.receive(FixReport(latitude: 1, longitude: 1, at: future), at: noon)
        guard case .current = filter.receive(report(0, at: 1), at: noon + 1) else {
            Issue.record("The fix is not current.")
            return
        }
    }

    @Test func `A fix that another process accepted counts, unless it is older`() {
        var filter = FixFilter()
        let fix = Fix(lisbon, at: 10)
        filter.adopt(fix)
        filter.adopt(Fix(Place(0, 1), at: 5))
        #expect(filter.current == fix)
        #expect(filter.receive(report(100_000, at: 11), at: noon + 11) == .rejected(.speed))
        #expect(filter.receive(report(0, at: 10), at: noon + 11) == .rejected(.duplicate))
    }

    @Test func `Absurd reports and configurations are harmless`() {
        var configuration = FixFilter.Configuration()
        configuration.rate = .init(count: 0, per: 1e300)
        configuration.maximumAge = 1e300
        configuration.maximumHistoryAge = .infinity
        configuration.maximumLead = .nan
        configuration.distance = .init(distance: .nan, unlessAfter: -.infinity)
        configuration.speed?.confirmations = .min
        var filter = FixFilter(configuration: configuration)
        for time in [-1e300, 0, 1e300, .greatestFiniteMagnitude] {
            for accuracy in [0, 1e300] {
                let report = FixReport(
                    latitude: 38, longitude: -9, at: Date(timeIntervalSinceReferenceDate: time), accuracy: accuracy,
                    speed: -1e300, sequence: .min)
                for now in [noon, .distantPast, .distantFuture, Date(timeIntervalSinceReferenceDate: .nan)] {
                    _ = filter.receive(report, at: now)
                }
            }
        }
    }
}
