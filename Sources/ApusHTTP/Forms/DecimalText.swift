/// Decimal numbers as text.
enum DecimalText {
    /// Whether all of a text is one: a sign, digits, a point with digits, an exponent.
    static func isWhole(_ text: String) -> Bool {
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
