/// The grammar of decimal numbers in text.
enum DecimalText {
    /// Returns whether the complete text is a decimal number: an optional sign, digits, an optional fraction and an optional
    /// exponent.
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
        guard skipDigits() else { return false }
        if skip(UInt8(ascii: ".")), !skipDigits() { return false }
        if skip(UInt8(ascii: "e"), UInt8(ascii: "E")) {
            _ = skip(UInt8(ascii: "-"), UInt8(ascii: "+"))
            guard skipDigits() else { return false }
        }
        return rest.isEmpty
    }
}
