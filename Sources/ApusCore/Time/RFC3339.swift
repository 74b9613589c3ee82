package import FoundationEssentials

/// The date and time format of RFC 3339 §5.6, such as `2026-01-31T12:00:00.250Z`.
///
/// A leap second (`23:59:60` in UTC, at the end of June or December) is read as the second after it, as in POSIX time.
package enum RFC3339 {
    /// Formats a date in UTC, with milliseconds.
    /// - Returns: `nil` outside the years 0 to 9999, which the format cannot represent.
    package static func format(_ date: Date) -> String? {
        let seconds = date.timeIntervalSince1970
        guard seconds.isFinite, abs(seconds) < 1e12 else { return nil }
        let milliseconds = Int((seconds * 1000).rounded())
        let (day, time) = milliseconds.floorDivided(by: 86_400_000)
        let civil = CivilDate(daysSince1970: day)
        guard (0...9999).contains(civil.year) else { return nil }
        return String(unsafeUninitializedCapacity: 24) { buffer in
            func write(_ number: Int, _ digits: Int, at start: Int, then separator: Character) {
                var number = number
                for offset in (0..<digits).reversed() {
                    buffer[start + offset] = UInt8(ascii: "0") + UInt8(number % 10)
                    number /= 10
                }
                buffer[start + digits] = separator.asciiValue ?? 0
            }
            write(civil.year, 4, at: 0, then: "-")
            write(civil.month, 2, at: 5, then: "-")
            write(civil.day, 2, at: 8, then: "T")
            write(time / 3_600_000, 2, at: 11, then: ":")
            write(time / 60_000 % 60, 2, at: 14, then: ":")
            write(time / 1000 % 60, 2, at: 17, then: ".")
            write(time % 1000, 3, at: 20, then: "Z")
            return 24
        }
    }

    /// Parses a date and time by the grammar of §5.6, with the ranges of §5.7.
    /// - Returns: `nil` unless the entire text is a date and time.
    package static func parse(_ text: some StringProtocol) -> Date? {
        var text = String(text)
        return text.withUTF8 { bytes in
            var reader = Reader(bytes: bytes)
            return reader.dateTime()
        }
    }

    private struct Reader {
        let bytes: UnsafeBufferPointer<UInt8>
        var index = 0

        mutating func dateTime() -> Date? {
            guard let year = number(4), take("-"), let month = number(2), take("-"), let day = number(2),
                let date = CivilDate(year: year, month: month, day: day), take("T", "t"),
                let hour = number(2), hour < 24, take(":"), let minute = number(2), minute < 60, take(":"),
                let second = number(2), second <= 60, let fraction = fraction(), let offset = offset(),
                index == bytes.count
            else { return nil }
            let seconds = date.daysSince1970 * 86400 + hour * 3600 + minute * 60 + second - offset
            guard second < 60 || Self.canFollowLeapSecond(seconds) else { return nil }
            return Date(timeIntervalSince1970: Double(seconds) + fraction)
        }

        /// Returns whether an instant is the start of January 1 or July 1, in UTC.
        private static func canFollowLeapSecond(_ seconds: Int) -> Bool {
            let (day, time) = seconds.floorDivided(by: 86400)
            let date = CivilDate(daysSince1970: day)
            return time == 0 && date.day == 1 && (date.month == 1 || date.month == 7)
        }

        private mutating func number(_ digits: Int) -> Int? {
            guard index + digits <= bytes.count else { return nil }
            var number = 0
            for byte in bytes[index..<index + digits] {
                guard let digit = Self.digit(byte) else { return nil }
                number = number * 10 + digit
            }
            index += digits
            return number
        }

        private static func digit(_ byte: UInt8) -> Int? {
            byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") ? Int(byte - UInt8(ascii: "0")) : nil
        }

        private mutating func take(_ characters: Unicode.Scalar...) -> Bool {
            guard index < bytes.count, characters.contains(where: { UInt8(ascii: $0) == bytes[index] }) else {
                return false
            }
            index += 1
            return true
        }

        /// Reads the optional fraction: `.` and one or more digits. Digits past the ninth are ignored.
        /// - Returns: 0 if there is no fraction, `nil` if it is malformed.
        private mutating func fraction() -> Double? {
            guard take(".") else { return 0 }
            var (value, scale, count) = (0, 1, 0)
            while index < bytes.count, let digit = Self.digit(bytes[index]) {
                if count < 9 { (value, scale) = (value * 10 + digit, scale * 10) }
                count += 1
                index += 1
            }
            return count > 0 ? Double(value) / Double(scale) : nil
        }

        /// Reads the offset from UTC, in seconds: `Z`, or a sign with hours and minutes.
        private mutating func offset() -> Int? {
            if take("Z", "z") { return 0 }
            let isNegative = take("-")
            guard isNegative || take("+"), let hours = number(2), hours < 24, take(":"), let minutes = number(2),
                minutes < 60
            else { return nil }
            return (isNegative ? -1 : 1) * (hours * 3600 + minutes * 60)
        }
    }
}

extension Int {
    /// Returns the quotient, rounded down, and the remainder, which is never negative.
    package func floorDivided(by divisor: Int) -> (quotient: Int, remainder: Int) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
