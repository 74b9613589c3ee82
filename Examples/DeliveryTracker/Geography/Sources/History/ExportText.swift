import FoundationEssentials

/// The text of numbers, times and names in exports.
enum ExportText {
    /// Degrees with up to seven decimals, which are a centimetre, and without an exponent, which XML does not allow.
    static func degrees(_ value: Double) -> String {
        let units = Int((value * 1e7).rounded())
        let (whole, fraction) = (abs(units) / 10_000_000, abs(units) % 10_000_000)
        let sign = units < 0 ? "-" : ""
        guard fraction != 0 else { return "\(sign)\(whole)" }
        var digits = String(fraction)
        digits = String(repeating: "0", count: 7 - digits.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        return "\(sign)\(whole).\(digits)"
    }

    /// A time in UTC with milliseconds (RFC 3339), in the years 1 to 9999.
    static func time(_ date: Date) -> String {
        let seconds = date.timeIntervalSince1970
        let limited = seconds.isNaN ? 0 : min(253_402_300_799, max(-62_135_596_800, seconds))
        let milliseconds = Int((limited * 1000).rounded())
        let (days, rest) = milliseconds.quotientAndRemainder(floorDividingBy: 86_400_000)
        let (year, month, day) = civil(days: days)
        let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60)
        let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
        let time = "\(padded(hour, 2)):\(padded(minute, 2)):\(padded(second, 2))"
        let fraction = rest % 1000
        return "\(date)T\(time)\(fraction == 0 ? "" : "." + padded(fraction, 3))Z"
    }

    /// A string of JSON, with its quotes.
    static func json(_ string: String) -> String {
        var result = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\u{0}"..<" ": result += "\\u" + padded(String(scalar.value, radix: 16), 4)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// The text of an XML element, without the characters that XML 1.0 cannot hold.
    static func xml(_ string: String) -> String {
        var result = ""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&apos;"
            case "\u{9}", "\u{A}": result.unicodeScalars.append(scalar)
            // A parser would turn a carriage return into a line feed.
            case "\u{D}": result += "&#13;"
            case "\u{0}"..<" ", "\u{FFFE}", "\u{FFFF}": continue
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The date of a number of days since 1970-01-01, in the proleptic Gregorian calendar (after Howard Hinnant,
    /// "chrono-Compatible Low-Level Date Algorithms").
    private static func civil(days: Int) -> (year: Int, month: Int, day: Int) {
        let (era, day) = (days + 719_468).quotientAndRemainder(floorDividingBy: 146_097)
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
        let dayOfYear = day - (365 * year + year / 4 - year / 100)
        // Months are counted from March, so that the leap day is the last one.
        let month = (5 * dayOfYear + 2) / 153
        let civilMonth = month < 10 ? month + 3 : month - 9
        return (year + era * 400 + (civilMonth <= 2 ? 1 : 0), civilMonth, dayOfYear - (153 * month + 2) / 5 + 1)
    }

    private static func padded(_ number: Int, _ count: Int) -> String { padded(String(number), count) }

    private static func padded(_ digits: String, _ count: Int) -> String {
        String(repeating: "0", count: max(0, count - digits.count)) + digits
    }
}

extension Int {
    fileprivate func quotientAndRemainder(floorDividingBy divisor: Int) -> (quotient: Int, remainder: Int) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
