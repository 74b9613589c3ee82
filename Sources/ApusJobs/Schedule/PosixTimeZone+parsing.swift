extension PosixTimeZone {
    /// Parses a `TZ` string by the grammar of POSIX, with hours from -167 to 167 in rules (RFC 9636 §3.3.1).
    ///
    /// If the string names a daylight saving time without an offset, that is one hour ahead of standard time. If it
    /// gives no rules for one, those of the United States hold: from the second Sunday of March to the first Sunday of
    /// November.
    /// - Returns: `nil` unless the entire text is such a string.
    init?(_ text: some Sequence<UInt8>) {
        var reader = Reader(bytes: Array(text))
        guard let zone = reader.zone(), reader.isAtEnd else { return nil }
        self = zone
    }

    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        var isAtEnd: Bool { index == bytes.count }

        mutating func zone() -> PosixTimeZone? {
            guard name(), let standardOffset = offset() else { return nil }
            guard !isAtEnd else { return PosixTimeZone(standardOffset: standardOffset, daylightSaving: nil) }
            guard let daylightSaving = daylightSaving(standardOffset: standardOffset) else { return nil }
            return PosixTimeZone(standardOffset: standardOffset, daylightSaving: daylightSaving)
        }

        private mutating func daylightSaving(standardOffset: Int) -> DaylightSaving? {
            guard name() else { return nil }
            var daylightOffset = standardOffset + 3600
            if !isAtEnd, bytes[index] != UInt8(ascii: ",") {
                guard let offset = offset() else { return nil }
                daylightOffset = offset
            }
            guard !isAtEnd else {
                let start = YearlyTime(day: .weekday(month: 3, week: 2, weekday: 0), time: 7200)
                let end = YearlyTime(day: .weekday(month: 11, week: 1, weekday: 0), time: 7200)
                return DaylightSaving(offset: daylightOffset, start: start, end: end)
            }
            guard take(","), let start = yearlyTime(), take(","), let end = yearlyTime() else { return nil }
            return DaylightSaving(offset: daylightOffset, start: start, end: end)
        }

        /// Reads an abbreviation: three or more letters, or in angle brackets letters, digits and signs.
        private mutating func name() -> Bool {
            let isQuoted = take("<")
            let start = index
            while !isAtEnd, Self.isLetter(bytes[index]) || isQuoted && Self.isDigitOrSign(bytes[index]) { index += 1 }
            return index - start >= 3 && (!isQuoted || take(">"))
        }

        /// Reads an offset, which is positive west of Greenwich, as one that is positive east of it.
        private mutating func offset() -> Int? {
            duration(maximumHours: 24).map { -$0 }
        }

        private mutating func yearlyTime() -> YearlyTime? {
            guard let day = yearlyDay() else { return nil }
            guard take("/") else { return YearlyTime(day: day, time: 7200) }
            return duration(maximumHours: 167).map { YearlyTime(day: day, time: $0) }
        }

        private mutating func yearlyDay() -> YearlyDay? {
            if take("M") {
                guard let month = number(in: 1...12), take("."), let week = number(in: 1...5), take("."),
                    let weekday = number(in: 0...6)
                else { return nil }
                return .weekday(month: month, week: week, weekday: weekday)
            } else if take("J") {
                return number(in: 1...365).map { .dayWithoutLeapDay($0) }
            } else {
                return number(in: 0...365).map { .dayWithLeapDay($0) }
            }
        }

        /// Reads hours with optional minutes and seconds, such as `-3:30`, in seconds.
        private mutating func duration(maximumHours: Int) -> Int? {
            let isNegative = take("-")
            if !isNegative { _ = take("+") }
            guard let hours = number(in: 0...maximumHours) else { return nil }
            var seconds = hours * 3600
            for unit in [60, 1] {
                guard take(":") else { break }
                guard let number = number(in: 0...59) else { return nil }
                seconds += number * unit
            }
            return isNegative ? -seconds : seconds
        }

        private mutating func number(in range: ClosedRange<Int>) -> Int? {
            let start = index
            var number = 0
            while !isAtEnd, Self.isDigit(bytes[index]) {
                number = number * 10 + Int(bytes[index] - UInt8(ascii: "0"))
                guard number <= range.upperBound else { return nil }
                index += 1
            }
            return index > start && range.contains(number) ? number : nil
        }

        private mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard !isAtEnd, bytes[index] == UInt8(ascii: character) else { return false }
            index += 1
            return true
        }

        private static func isLetter(_ byte: UInt8) -> Bool {
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
        }

        private static func isDigit(_ byte: UInt8) -> Bool {
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
        }

        private static func isDigitOrSign(_ byte: UInt8) -> Bool {
            isDigit(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
        }
    }
}
