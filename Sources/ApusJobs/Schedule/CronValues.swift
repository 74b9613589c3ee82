/// The values that a field of a cron expression selects.
struct CronValues: Sendable {
    /// Bit n stands for the value n.
    private(set) var bits: UInt64 = 0
    /// Whether the field begins with `*`, which for hours and days means more than its values.
    private(set) var beginsWithAsterisk = false

    /// Creates a set of the values whose bits are set.
    init(bits: UInt64) { self.bits = bits }

    func contains(_ value: Int) -> Bool { (bits >> value) & 1 == 1 }

    /// The lowest value that is not less than a number.
    func first(atOrAfter number: Int) -> Int? {
        let remaining = (bits >> number) << number
        return remaining == 0 ? nil : remaining.trailingZeroBitCount
    }
}

extension CronValues {
    /// Parses a field: items separated by commas.
    /// - Throws: What is wrong with the first item that is not valid.
    init(_ text: Substring, of field: CronField) throws(CronFieldError) {
        beginsWithAsterisk = text.utf8.first == UInt8(ascii: "*")
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard !item.isEmpty else { throw CronFieldError(field, text, .emptyItem) }
            try insert(item, of: field)
        }
    }

    /// Inserts the values of an item: `*`, a value or a range, with or without a step.
    private mutating func insert(_ item: Substring, of field: CronField) throws(CronFieldError) {
        let parts = item.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let range = try Self.range(parts[0], of: field, isOpen: parts.count == 2)
        guard let step = parts.count == 2 ? Self.number(parts[1]) : 1, (1...range.count).contains(step) else {
            throw CronFieldError(field, item, .notStep(range.count))
        }
        for value in stride(from: range.lowerBound, through: range.upperBound, by: step) {
            // Sunday is both 0 and 7.
            bits |= 1 << UInt64(field == .dayOfWeek ? value % 7 : value)
        }
    }

    /// Parses `*`, a range or a value.
    /// - Parameter isOpen: Whether a value begins a range up to the maximum.
    private static func range(
        _ text: Substring, of field: CronField, isOpen: Bool
    ) throws(CronFieldError) -> ClosedRange<Int> {
        guard text != "*" else { return field.allValues }
        let bounds = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let lower = try value(bounds[0], of: field)
        guard bounds.count == 2 else { return lower...(isOpen ? field.range.upperBound : lower) }
        var upper = try value(bounds[1], of: field)
        // SUN ends a range as 7, so that FRI-SUN is 5-7.
        if field == .dayOfWeek, upper == 0, lower > 0, field.value(named: bounds[1]) != nil { upper = 7 }
        guard lower <= upper else { throw CronFieldError(field, text, .reversed(lower: lower, upper: upper)) }
        return lower...upper
    }

    private static func value(_ text: Substring, of field: CronField) throws(CronFieldError) -> Int {
        if let value = field.value(named: text) { return value }
        if let character = unsupportedCharacter(in: text) { throw CronFieldError(field, text, .unsupported(character)) }
        guard let number = number(text) else {
            throw CronFieldError(field, text, isNumber(text) ? .tooManyDigits : .notValue)
        }
        guard field.range.contains(number) else { throw CronFieldError(field, text, .notInRange) }
        return number
    }

    /// The value of one to nine digits.
    private static func number(_ text: Substring) -> Int? {
        isNumber(text) && text.utf8.count <= 9 ? Int(text) : nil
    }

    private static func isNumber(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
    }

    /// The extension of other schedulers that a text uses: `?`, `#`, or `L` and `W` with or without a number.
    private static func unsupportedCharacter(in text: Substring) -> Character? {
        if let character = text.first(where: { $0 == "?" || $0 == "#" }) { return character }
        let letters = text.filter { !$0.isNumber }
        return ["L", "W", "LW"].contains(letters.uppercased()) ? letters.first : nil
    }
}
