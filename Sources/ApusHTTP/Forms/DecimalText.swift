/// The grammar of decimal numbers in text.
enum DecimalText {
    /// Parses a finite number. The standard library also parses `0x1p3`, `nan` and `inf`.
    static func number<Number: BinaryFloatingPoint & LosslessStringConvertible>(_ text: String) -> Number? {
        guard isValid(text), let number = Number(text), number.isFinite else { return nil }
        return number
    }

    /// Returns whether the complete text is a decimal number: an optional sign, digits, an optional fraction and an optional
    /// exponent. There may be no digits before the fraction, as in `.5`, which browsers send as the user wrote it (the HTML
    /// standard, §2.3.4.3).
    static func isValid(_ text: String) -> Bool {
        var rest = Substring(text).utf8
        func skip(_ bytes: UInt8...) -> Bool {
            guard let first = rest.first, bytes.contains(first) else { return false }
            rest.removeFirst()
            return true
        }
        func skipDigits() -> Bool {
            let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            rest = rest.dropFirst(digits.count)
            return !digits.isEmpty
        }
        _ = skip(UInt8(ascii: "-"), UInt8(ascii: "+"))
        let hasInteger = skipDigits()
        let hasPoint = skip(UInt8(ascii: "."))
        guard hasPoint ? skipDigits() : hasInteger else { return false }
        if skip(UInt8(ascii: "e"), UInt8(ascii: "E")) {
            _ = skip(UInt8(ascii: "-"), UInt8(ascii: "+"))
            guard skipDigits() else { return false }
        }
        return rest.isEmpty
    }
}
