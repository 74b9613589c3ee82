import ApusCore
import FoundationEssentials
import Testing

@testable import ApusJobs

/// Compares ``Cron/next(after:)`` with a clock that is watched step by step.
@Suite(.timeZones) struct CronOracleTests {
    /// Times near which clocks change, in zones that do it differently.
    private static let changes = [
        ("Europe/Berlin", "2024-03-31T01:00:00Z"), ("Europe/Berlin", "2024-10-27T01:00:00Z"),
        ("America/St_Johns", "2011-03-13T03:31:00Z"), ("America/St_Johns", "2010-11-07T02:31:00Z"),
        ("Australia/Lord_Howe", "2024-04-06T15:00:00Z"), ("Australia/Lord_Howe", "2024-10-05T15:30:00Z"),
        ("America/Sao_Paulo", "2018-11-04T03:00:00Z"), ("America/Sao_Paulo", "2018-02-18T02:00:00Z"),
        ("Africa/Cairo", "2024-04-25T22:00:00Z"), ("Africa/Cairo", "2024-10-31T21:00:00Z"),
        ("Europe/Dublin", "2024-03-31T01:00:00Z"), ("Antarctica/Troll", "2024-10-27T01:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ]

    @Test(arguments: changes) func `The runs of minutes are those of a watched clock`(zone: String, time: String) throws
    {
        var random = SplitMix64(state: UInt64(try secondsSince1970(time)))
        for _ in 0..<12 {
            let expression = RandomExpression.minutes(using: &random)
            try expression.check(
                zone: zone, around: secondsSince1970(time), radius: 36 * 3600, step: 60, using: &random)
        }
    }

    @Test(arguments: changes) func `The runs of seconds are those of a watched clock`(zone: String, time: String) throws
    {
        var random = SplitMix64(state: UInt64(try secondsSince1970(time)))
        for _ in 0..<4 {
            let expression = RandomExpression.seconds(using: &random)
            try expression.check(zone: zone, around: secondsSince1970(time), radius: 5400, step: 1, using: &random)
        }
    }
}

/// A cron expression and, made without parsing it, the values that it selects.
private struct RandomExpression {
    struct Field {
        var text: String
        var values: Set<Int>
    }

    var fields: [Field]

    static func minutes(using random: inout SplitMix64) -> RandomExpression {
        var expression = seconds(using: &random)
        expression.fields[0] = Field(text: "", values: [0])
        return expression
    }

    static func seconds(using random: inout SplitMix64) -> RandomExpression {
        var fields = [59, 59, 23].map { field(in: 0...$0, asterisks: 2, using: &random) }
        // Most days, so that there are runs near the change.
        fields += [1...31, 1...12, 0...6].map { field(in: $0, asterisks: 12, using: &random) }
        return RandomExpression(fields: fields)
    }

    private static func field(
        in range: ClosedRange<Int>, asterisks: Int, using random: inout SplitMix64
    ) -> Field {
        let (one, other) = (Int.random(in: range, using: &random), Int.random(in: range, using: &random))
        let (low, high) = (min(one, other), max(one, other))
        let step = Int.random(in: 1...max(1, (high - low) / 2), using: &random)
        switch Int.random(in: 0..<6 + asterisks, using: &random) {
        case 0: return Field(text: "\(one)", values: [one])
        case 1: return Field(text: "\(one),\(other)", values: [one, other])
        case 2: return Field(text: "\(low)-\(high)", values: Set(low...high))
        case 3: return Field(text: "\(low)-\(high)/\(step)", values: Set(stride(from: low, through: high, by: step)))
        case 4: return Field(text: "*,\(one)", values: Set(range))
        case 5:
            let values = stride(from: range.lowerBound, through: range.upperBound, by: step)
            return Field(text: "*/\(step)", values: Set(values))
        default: return Field(text: "*", values: Set(range))
        }
    }

    var text: String { fields.map(\.text).joined(separator: " ") }

    /// Compares the runs around a time, from a random date on, with those of a watched clock.
    func check(zone: String, around time: Int, radius: Int, step: Int, using random: inout SplitMix64) throws {
        // Some random days do not exist.
        guard let schedule = try? Cron(text, timeZone: zone) else { return }
        let (start, end) = (time - radius, time + radius)
        let date = Int.random(in: start..<end, using: &random)
        let expected = watchedRuns(in: schedule.zone, from: start, to: end, step: step).filter { $0 > date }
        let runs = schedule.runs(
            after: Date(timeIntervalSince1970: Double(date)), before: Date(timeIntervalSince1970: Double(end)))
        #expect(runs.map { Int($0.timeIntervalSince1970) } == expected, "\(schedule) after \(date)")
    }

    /// Watches a clock and notes when it shows a time that matches.
    private func watchedRuns(in zone: ZoneRules, from start: Int, to end: Int, step: Int) -> [Int] {
        let followsElapsedTime = fields[2].text.hasPrefix("*")
        // The latest local time that was shown. Before the change it is not near enough to matter.
        var latest = start - step + zone.offset(at: start - step)
        return stride(from: start, to: end, by: step).filter { time in
            let local = time + zone.offset(at: time)
            defer { latest = max(latest, local) }
            guard !followsElapsedTime else { return matches(local) }
            return stride(from: latest + step, through: local, by: step).contains(where: matches)
        }
    }

    private func matches(_ localTime: Int) -> Bool {
        let (day, time) = localTime.floorDivided(by: 86400)
        let date = CivilDate(daysSince1970: day)
        let weekday = (day + 4).floorDivided(by: 7).remainder
        guard fields[0].values.contains(time % 60), fields[1].values.contains(time / 60 % 60),
            fields[2].values.contains(time / 3600), fields[4].values.contains(date.month)
        else { return false }
        let (dayMatches, weekdayMatches) = (fields[3].values.contains(date.day), fields[5].values.contains(weekday))
        let isEitherEnough = !fields[3].text.hasPrefix("*") && !fields[5].text.hasPrefix("*")
        return isEitherEnough ? dayMatches || weekdayMatches : dayMatches && weekdayMatches
    }
}

/// A generator of the same numbers in each run.
private struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
