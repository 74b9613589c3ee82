import ApusCore
import FoundationEssentials

/// Dates as the server stores them: microseconds or days since 2000-01-01, in UTC.
enum PostgresDate {
    /// 2000-01-01 in seconds since 1970.
    private static let epoch = 946_684_800
    /// The range of `timestamptz`: from 4714-11-24 BC up to, but excluding, 294277-01-01.
    private static let range: Range<Int64> = -211_813_488_000_000_000..<9_223_371_331_200_000_000
    private static let microsecondsPerDay: Int64 = 86_400_000_000
    /// The last year of the server's type `date`.
    private static let maximumYear = 5_874_897

    /// - Returns: `nil` for ±infinity, which is stored as the extremes of the integer, and outside of the range.
    static func date(microseconds: Int64) -> Date? {
        guard range.contains(microseconds) else { return nil }
        let (seconds, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return Date(timeIntervalSince1970: Double(seconds + Int64(epoch)) + Double(rest) / 1e6)
    }

    /// - Returns: `nil` for ±infinity and outside of the range.
    static func date(days: Int32) -> Date? {
        guard days > .min, days < .max else { return nil }
        return Date(timeIntervalSince1970: Double(Int(days) * 86400 + epoch))
    }

    /// Converts a date to microseconds, rounded.
    /// - Returns: `nil` for a date that the server cannot store.
    static func microseconds(_ date: Date) -> Int64? {
        guard let since1970 = Int64(exactly: (date.timeIntervalSince1970 * 1e6).rounded()) else { return nil }
        let (microseconds, hasOverflowed) = since1970.subtractingReportingOverflow(Int64(epoch) * 1_000_000)
        return !hasOverflowed && range.contains(microseconds) ? microseconds : nil
    }

    /// Converts a date to the day that contains it.
    static func days(_ date: Date) -> Int32? {
        guard let microseconds = microseconds(date) else { return nil }
        return Int32(exactly: Int(microseconds).floorDivided(by: Int(microsecondsPerDay)).quotient)
    }

    /// Formats a date as the server reads it, such as `2026-01-31 12:00:00.000250+00`.
    static func format(_ date: Date) -> String? {
        guard let microseconds = microseconds(date) else { return nil }
        let (day, time) = Int(microseconds).floorDivided(by: Int(microsecondsPerDay))
        let civil = CivilDate(daysSince1970: day + epoch / 86400)
        let year = civil.year > 0 ? civil.year : 1 - civil.year
        let seconds = time / 1_000_000
        return padded(year, 4) + "-" + padded(civil.month, 2) + "-" + padded(civil.day, 2) + " "
            + padded(seconds / 3600, 2) + ":" + padded(seconds / 60 % 60, 2) + ":" + padded(seconds % 60, 2) + "."
            + padded(time % 1_000_000, 6) + "+00" + (civil.year > 0 ? "" : " BC")
    }

    private static func padded(_ number: Int, _ digits: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }

    /// Parses a date or a point in time in the server's ISO format, in UTC: `2026-01-31`, `2026-01-31 12:00:00.25+00`,
    /// `0044-03-15 BC`.
    /// - Returns: `nil` if it is malformed, or ±infinity.
    static func parse(_ text: String) -> Date? {
        var rest = Substring(text)
        let isBC = rest.ends(withBytesOf: " BC")
        if isBC { rest.removeLast(3) }
        let parts = rest.split(at: " ", maximumSplits: 1)
        guard let first = parts.first else { return nil }
        let fields = first.split(at: "-", omittingEmpty: false).map { Int($0) }
        guard fields.count == 3, let year = fields[0], let month = fields[1], let day = fields[2],
            (1...maximumYear).contains(year),
            let civil = CivilDate(year: isBC ? 1 - year : year, month: month, day: day)
        else { return nil }
        var seconds = Double(civil.daysSince1970) * 86400
        if parts.count == 2 {
            guard let time = self.seconds(parts[1]) else { return nil }
            seconds += time
        }
        return Date(timeIntervalSince1970: seconds)
    }

    /// Parses the time of day, in seconds. The session's zone is UTC, so the offset is zero.
    private static func seconds(_ text: Substring) -> Double? {
        var text = text
        if text.ends(withBytesOf: "+00") { text.removeLast(3) }
        let fields = text.split(at: ":")
        guard fields.count == 3, let hours = Int(fields[0]), let minutes = Int(fields[1]),
            let seconds = Double(fields[2]), (0...24).contains(hours), (0...59).contains(minutes),
            (0..<60).contains(seconds)
        else { return nil }
        return Double(hours * 3600 + minutes * 60) + seconds
    }
}
