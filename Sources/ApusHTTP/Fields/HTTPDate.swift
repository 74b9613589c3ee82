import ApusCore

/// Formats and parses dates in header fields (RFC 9110 §5.6.7), in seconds since 1970.
package enum HTTPDate {
    /// Formats a date: `Sun, 06 Nov 1994 08:49:37 GMT`.
    package static func format(secondsSince1970 seconds: Int) -> String {
        let (days, time) = seconds.floorDivided(by: 86400)
        let date = CivilDate(daysSince1970: days)
        let weekday = weekdays[(days % 7 + 11) % 7].prefix(3)
        return
            "\(weekday), \(twoDigits(date.day)) \(months[date.month - 1]) \(date.year) \(twoDigits(time / 3600)):\(twoDigits(time / 60 % 60)):\(twoDigits(time % 60)) GMT"
    }

    private static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }

    /// Parses a date in one of the three formats: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and
    /// `Sun Nov  6 08:49:37 1994`. The day of the week is not compared with the date.
    /// - Returns: `nil` for anything else.
    package static func parse(_ text: String) -> Int? {
        var text = text
        return text.withUTF8 { bytes in
            if let date = Reader(bytes).imfFixdate() { return date }
            if let date = Reader(bytes).rfc850Date() { return date }
            return Reader(bytes).asctimeDate()
        }
    }

    fileprivate static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    fileprivate static let weekdays = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ]
}

/// Reads a date in one of the formats. The mutating methods advance past what they have read.
private struct Reader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var index = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    func imfFixdate() -> Int? {
        var reader = self
        guard reader.weekday(isAbbreviated: true), reader.take(", "), let day = reader.number(2), reader.take(" "),
            let month = reader.month(), reader.take(" "), let year = reader.number(4), reader.take(" "),
            let time = reader.time(), reader.take(" GMT"), reader.isAtEnd
        else { return nil }
        return Self.seconds(year, month, day, time)
    }

    func rfc850Date() -> Int? {
        var reader = self
        guard reader.weekday(isAbbreviated: false), reader.take(", "), let day = reader.number(2), reader.take("-"),
            let month = reader.month(), reader.take("-"), let year = reader.number(2), reader.take(" "),
            let time = reader.time(), reader.take(" GMT"), reader.isAtEnd
        else { return nil }
        // The nearest century, for about as long as this obsolete format may still be in use.
        return Self.seconds(year + (year < 70 ? 2000 : 1900), month, day, time)
    }

    func asctimeDate() -> Int? {
        var reader = self
        guard reader.weekday(isAbbreviated: true), reader.take(" "), let month = reader.month(), reader.take(" ") else {
            return nil
        }
        let day = reader.take(" ") ? reader.number(1) : reader.number(2)
        guard let day, reader.take(" "), let time = reader.time(), reader.take(" "), let year = reader.number(4),
            reader.isAtEnd
        else { return nil }
        return Self.seconds(year, month, day, time)
    }

    private static func seconds(_ year: Int, _ month: Int, _ day: Int, _ time: Int) -> Int? {
        CivilDate(year: year, month: month, day: day).map { $0.daysSince1970 * 86400 + time }
    }

    private var isAtEnd: Bool { index == bytes.count }

    private mutating func take(_ text: String) -> Bool {
        guard bytes[index...].starts(with: text.utf8) else { return false }
        index += text.utf8.count
        return true
    }

    private mutating func weekday(isAbbreviated: Bool) -> Bool {
        HTTPDate.weekdays.contains { take(isAbbreviated ? String($0.prefix(3)) : $0) }
    }

    /// Reads a month and returns its number, from 1 to 12.
    private mutating func month() -> Int? { HTTPDate.months.firstIndex { take($0) }.map { $0 + 1 } }

    private mutating func time() -> Int? {
        guard let hour = number(2), hour < 24, take(":"), let minute = number(2), minute < 60, take(":"),
            let second = number(2), second <= 60
        else { return nil }
        return hour * 3600 + minute * 60 + second
    }

    private mutating func number(_ digits: Int) -> Int? {
        guard index + digits <= bytes.count else { return nil }
        var number = 0
        for byte in bytes[index..<index + digits] {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            number = number * 10 + Int(byte - UInt8(ascii: "0"))
        }
        index += digits
        return number
    }
}
