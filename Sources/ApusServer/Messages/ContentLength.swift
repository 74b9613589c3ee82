/// The value of a `Content-Length` field (RFC 9110 §8.6).
enum ContentLength {
    /// The maximum number of digits. Every number of this size fits into an `Int`.
    private static let maximumDigits = 18

    /// Parses a length in decimal digits, without a sign.
    /// - Returns: The length; `nil` if the text is malformed or has too many digits.
    static func parse(_ text: Span<UInt8>) -> Int? {
        guard (1...maximumDigits).contains(text.count) else { return nil }
        var length = 0
        for index in text.indices {
            guard text[index].isDigit else { return nil }
            length = length * 10 + Int(text[index] - UInt8(ascii: "0"))
        }
        return length
    }

    /// Parses a length in decimal digits, without a sign.
    /// - Returns: The length; `nil` if the text is malformed or has too many digits.
    static func parse(_ text: borrowing String) -> Int? { parse(text.utf8Span.span) }
}
