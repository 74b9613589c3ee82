/// Dates in fields (RFC 9110 §5.6.7), in seconds since 1970.
package enum HTTPDate {
    package static func format(secondsSince1970 seconds: Int) -> String {
        let days = Int((Double(seconds) / 86400).rounded(.down))
        let time = seconds - days * 86400
        // Days to civil date, with years that begin in March so that the leap day comes last.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let year = yearOfEra + era * 400 + (month >= 10 ? 1 : 0)
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][((days % 7) + 7) % 7]
        return
            "\(weekday), \(two(day)) \(months[month]) \(year) \(two(time / 3600)):\(two(time / 60 % 60)):\(two(time % 60)) GMT"
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }

    /// Reads the three forms that there are: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and
    /// `Sun Nov  6 08:49:37 1994`. The day of the week is not looked at.
    /// - Returns: `nil` for anything else.
    package static func parse(_ text: String) -> Int? {
        guard text.utf8.count <= 40 else { return nil }
        let words = text.split { $0 == " " || $0 == "," }
        switch words.count {
        case 4 where words[3] == "GMT":
            let date = words[1].split(separator: "-", omittingEmptySubsequences: false)
            return date.count == 3 ? seconds(day: date[0], month: date[1], year: date[2], time: words[2]) : nil
        case 6 where words[5] == "GMT": return seconds(day: words[1], month: words[2], year: words[3], time: words[4])
        case 5 where text.utf8.count == 24:
            return seconds(day: words[2], month: words[1], year: words[4], time: words[3])
        default: return nil
        }
    }

    private static func seconds(day: Substring, month: Substring, year: Substring, time: Substring) -> Int? {
        let clock = time.split(separator: ":", omittingEmptySubsequences: false).map(number)
        guard let day = number(day), (1...31).contains(day), var year = number(year), (0...9999).contains(year),
            let month = months.firstIndex(of: String(month)), clock.count == 3, let hour = clock[0],
            let minute = clock[1], let second = clock[2], hour < 24, minute < 60, second <= 60
        else { return nil }
        // A year of two digits is one of the last fifty or the next (RFC 9110 §5.6.7): near enough for a century.
        if year < 100 { year += year < 70 ? 2000 : 1900 }
        // Years begin in March here.
        let shiftedYear = month >= 10 ? year - 1 : year
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * month + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return days * 86400 + hour * 3600 + minute * 60 + second
    }

    /// One to four digits.
    private static func number(_ text: Substring) -> Int? {
        let isNumber =
            (1...4).contains(text.utf8.count)
            && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return isNumber ? Int(text) : nil
    }

    private static let months = [
        "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb",
    ]
}
