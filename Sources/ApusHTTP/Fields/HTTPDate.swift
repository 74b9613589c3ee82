import ApusCore

/// Dates in fields (RFC 9110 §5.6.7), in seconds since 1970.
package enum HTTPDate {
    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    package static func format(secondsSince1970 seconds: Int) -> String {
        let (days, time) = seconds.dividedDown(by: 86400)
        let date = CivilDate(daysSince1970: days)
        let weekday = weekdays[(days % 7 + 11) % 7].prefix(3)
        return
            "\(weekday), \(two(date.day)) \(months[date.month - 1]) \(date.year) \(two(time / 3600)):\(two(time / 60 % 60)):\(two(time % 60)) GMT"
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }

    /// Reads the three forms there are: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and
    /// `Sun Nov  6 08:49:37 1994`. Whether the day of the week is that of the date is not checked.
    /// - Returns: `nil` for anything else.
    package static func parse(_ text: String) -> Int? {
        var text = text
        return text.withUTF8 { bytes in
            if let date = Reader(bytes).fixedDate() { return date }
            if let date = Reader(bytes).dateOfRFC850() { return date }
            return Reader(bytes).dateOfAsctime()
        }
    }

    fileprivate static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    fileprivate static let weekdays = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ]
}

/// Reads one form of a date. Each read moves on by what it has read, or gives `nil`.
private struct Reader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var index = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    func fixedDate() -> Int? {
        var reader = self
        guard reader.weekday(isWhole: false), reader.take(", "), let day = reader.number(2), reader.take(" "),
            let month = reader.month(), reader.take(" "), let year = reader.number(4), reader.take(" "),
            let time = reader.time(), reader.take(" GMT"), reader.isAtEnd
        else { return nil }
        return Self.seconds(year, month, day, time)
    }

    func dateOfRFC850() -> Int? {
        var reader = self
        guard reader.weekday(isWhole: true), reader.take(", "), let day = reader.number(2), reader.take("-"),
            let month = reader.month(), reader.take("-"), let year = reader.number(2), reader.take(" "),
            let time = reader.time(), reader.take(" GMT"), reader.isAtEnd
        else { return nil }
        // The century that is nearest, for about as long as the form may still be met.
        return Self.seconds(year + (year < 70 ? 2000 : 1900), month, day, time)
    }

    func dateOfAsctime() -> Int? {
        var reader = self
        guard reader.weekday(isWhole: false), reader.take(" "), let month = reader.month(), reader.take(" ") else {
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

    private mutating func weekday(isWhole: Bool) -> Bool {
        HTTPDate.weekdays.contains { take(isWhole ? $0 : String($0.prefix(3))) }
    }

    /// 1 to 12.
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
