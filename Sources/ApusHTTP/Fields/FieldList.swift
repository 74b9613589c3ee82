import ApusCore

/// Splits the value of a field that is a list (RFC 9110 §5.6.1).
enum FieldList {
    /// Returns the elements between the commas, without white space around them and without empty ones.
    ///
    /// A comma in a quoted string belongs to the element. In a quoted string, a backslash escapes the next character
    /// (RFC 9110 §5.6.4), so that an escaped quote does not end it.
    static func elements(_ field: some StringProtocol) -> [Substring] {
        var isQuoted = false
        var isEscaped = false
        let parts = Substring(field).utf8.split { byte in
            if isEscaped {
                isEscaped = false
            } else if isQuoted, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            }
            return byte == UInt8(ascii: ",") && !isQuoted
        }
        return parts.map { Substring($0).trimmed }.filter { !$0.isEmpty }
    }
}
