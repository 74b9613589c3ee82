import FoundationEssentials
import Testing

@testable import ApusJobs

/// The instant of an ISO 8601 text, such as `2024-03-31T03:00:00+02:00`.
func instant(_ text: String) throws -> Date {
    try Date(text, strategy: .iso8601)
}

/// The seconds from 1970 to the instant of an ISO 8601 text.
func secondsSince1970(_ text: String) throws -> Int {
    Int(try instant(text).timeIntervalSince1970)
}

extension Cron {
    /// The first runs after a date.
    func runs(after date: Date, count: Int) -> [Date] {
        Array(sequence(first: date) { next(after: $0) }.dropFirst().prefix(count))
    }

    /// The runs after one date and before another.
    func runs(after start: Date, before end: Date) -> [Date] {
        Array(sequence(first: start) { next(after: $0) }.dropFirst().prefix { $0 < end })
    }
}

extension ZoneDirectory {
    static let isInstalled = (try? system.rules(named: "Europe/Berlin")) != nil
}

extension Trait where Self == ConditionTrait {
    /// Skips a test where the time zone files are not installed.
    static var timeZones: Self { .enabled("tzdata is not installed") { ZoneDirectory.isInstalled } }
}

/// A compiled time zone file whose parts a test chooses.
struct TZifFixture {
    var magic = "TZif"
    var version: UInt8 = UInt8(ascii: "2")
    var times: [Int] = [0, 1000, 2000]
    var types: [UInt8] = [1, 0, 1]
    var offsets: [Int] = [3600, 7200]
    var leapSeconds = 0
    var footer: String? = "CET-1CEST,M3.5.0,M10.5.0/3"

    /// A file of version 1 has one body; a later one has a body without times before its own.
    var bytes: [UInt8] {
        guard version != 0 else { return part(times: times, types: types, timeSize: 4) }
        let end = footer.map { Array("\n\($0)\n".utf8) } ?? []
        return part(times: [], types: [], timeSize: 4) + part(times: times, types: types, timeSize: 8) + end
    }

    private func part(times: [Int], types: [UInt8], timeSize: Int) -> [UInt8] {
        var bytes = Array(magic.utf8) + [version] + [UInt8](repeating: 0, count: 15)
        let leapSeconds = timeSize == 4 && version != 0 ? 0 : leapSeconds
        for count in [0, 0, leapSeconds, times.count, offsets.count, 4] { bytes += Self.bigEndian(count, size: 4) }
        for time in times { bytes += Self.bigEndian(time, size: timeSize) }
        bytes += types
        for offset in offsets { bytes += Self.bigEndian(offset, size: 4) + [0, 0] }
        bytes += Array("CET\0".utf8)
        return bytes + [UInt8](repeating: 0, count: leapSeconds * (timeSize + 4))
    }

    private static func bigEndian(_ value: Int, size: Int) -> [UInt8] {
        (0..<size).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }
}
