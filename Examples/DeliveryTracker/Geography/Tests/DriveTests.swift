import Foundation
import Geography
import Testing

/// A real drive of 514 seconds in Višnjan, Croatia, replayed. See `Oracles/README.md` for its source and licence.
@Suite struct DriveTests {
    private struct Point: Decodable {
        let at: [Double]
        let second: Double
    }

    private let points: [Point]

    init() throws {
        points = try fixture("drive")
    }

    private func reports() -> [FixReport] {
        points.map { FixReport(latitude: $0.at[0], longitude: $0.at[1], at: noon + $0.second, accuracy: 5) }
    }

    /// The fixes that the filter lets through, each received a little later.
    private func fixes() -> [Fix] {
        var filter = FixFilter()
        return reports().compactMap { report in
            let outcome = filter.receive(report, at: report.at + 0.3)
            guard case .current(let fix) = outcome else {
                #expect(outcome == .rejected(.static))
                return nil
            }
            return fix
        }
    }

    @Test func `All fixes of a real drive are current, except some at rest`() {
        #expect(fixes().count == 94)
    }

    @Test func `With errors, repetitions and delays added, the filter drops exactly those`() {
        var configuration = FixFilter.Configuration()
        configuration.static = nil
        var filter = FixFilter(configuration: configuration)
        var counts: [FixRejection: Int] = [:]
        var (current, historical) = (0, 0)
        func receive(_ report: FixReport, at now: Date) {
            switch filter.receive(report, at: now) {
            case .current: current += 1
            case .historical: historical += 1
            case .rejected(let reason): counts[reason, default: 0] += 1
            }
        }
        var held: FixReport?
        for (index, report) in reports().enumerated() {
            let now = report.at + 0.3
            switch index % 10 {
            case 2: receive(FixReport(latitude: 0, longitude: 0, at: report.at), at: now)
            case 4: receive(FixReport(latitude: -10, longitude: 3, at: report.at - 0.5, accuracy: 5), at: now)
            case 6: held = report
            default: break
            }
            if held != report { receive(report, at: now) }
            if index % 10 == 7, let late = held {
                receive(late, at: now)
                receive(late, at: now)
                held = nil
            }
        }
        #expect(counts == [.zero: 11, .speed: 10, .duplicate: 10])
        #expect(current == points.count - 10 && historical == 10)
    }

    @Test func `The drive enters and exits fences on its way once for each visit`() throws {
        let fixes = fixes()
        let goal = fixes[fixes.count - 1].place
        var monitor = GeofenceMonitor<String>()
        monitor.watch(.circle(try Circle(center: goal, radius: 60)), as: "goal")
        monitor.watch(.circle(try Circle(center: fixes[0].place, radius: 60)), as: "start")
        // A gate on the longest way between two fixes.
        let longest = try #require(
            fixes.indices.dropFirst().max {
                fixes[$0 - 1].place.distance(to: fixes[$0].place) < fixes[$1 - 1].place.distance(to: fixes[$1].place)
            })
        let (before, after) = (fixes[longest - 1], fixes[longest])
        let gate = try Circle(center: before.place.interpolated(to: after.place, fraction: 0.5), radius: 15)
        monitor.watch(.circle(gate), as: "gate")

        let events = fixes.flatMap { monitor.receive($0) }
        let visits = Dictionary(grouping: events, by: \.fence).mapValues { $0.map(\.kind) }
        let passage = events.filter { $0.fence == "gate" && $0.kind != .arriving }
        #expect(passage.contains { before.time < $0.time && $0.time < after.time && $0.kind == .enter })
        #expect(events.map(\.time) == events.map(\.time).sorted())
        for (fence, kinds) in visits {
            let changes = kinds.filter { $0 != .arriving }
            // Entries and exits alternate.
            #expect(zip(changes, changes.dropFirst()).allSatisfy { $0 != $1 }, "\(fence): \(kinds)")
        }
        #expect(visits["start"]?.first == .enter)
        #expect(visits["goal"]?.last == .enter)
        #expect(monitor.isInside("goal") == true)
    }

    @Test func `The real arrival is within the estimated interval for most of the way after the stop`() {
        // Before, it roams a village, and stops for 108 seconds, which cannot be foreseen.
        let coverage = coverage(from: 230, to: 409)
        #expect(coverage.count == 23 && coverage.within >= 20)
    }

    private func coverage(from start: Double, to end: Double) -> (within: Int, count: Int) {
        let fixes = reports().map { report in
            Fix(Place(report.latitude, report.longitude), at: report.at.timeIntervalSince(noon), accuracy: 5)
        }
        guard let goal = fixes.last(where: { $0.time <= noon + end }) else { return (0, 0) }
        let arrival = fixes.first { $0.time >= noon + start && $0.place.distance(to: goal.place) <= 30 } ?? goal
        var estimator = ArrivalEstimator()
        var (within, count) = (0, 0)
        for fix in fixes where fix.time < arrival.time {
            estimator.receive(fix)
            guard fix.time >= noon + start, let estimate = estimator.estimate(to: goal.place, at: fix.time) else {
                continue
            }
            count += 1
            if (estimate.low...estimate.high).contains(arrival.time.timeIntervalSince(fix.time)) { within += 1 }
        }
        return (within, count)
    }

    @Test func `The drive is exported`() throws {
        let track = Track(name: "Around Višnjan", fixes: fixes())
        try export(track.gpx().joined(), as: "drive.gpx")
        try export(track.geoJSON().joined(), as: "drive.geojson")
        #expect(track.segments().count == 1)
    }
}
