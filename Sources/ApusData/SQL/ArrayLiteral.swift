import ApusCore

/// The text of a Postgres array, such as `{1,NULL,"a b"}`. The server infers the type of the elements from the
/// statement.
enum ArrayLiteral {
    /// Returns the text; `nil` if there is a date, whose format depends on the column.
    static func text(of values: [SQLValue]) -> String? {
        var elements: [String] = []
        for value in values {
            switch value {
            case .null: elements.append("NULL")
            case .integer(let number): elements.append("\(number)")
            case .real(let number): elements.append(text(of: number))
            case .text(let text): elements.append(quoted(text))
            case .blob(let bytes): elements.append(quoted("\\x" + hexText(of: bytes)))
            case .timestamp: return nil
            }
        }
        return "{\(elements.joined(separator: ","))}"
    }

    private static func text(of number: Double) -> String {
        if number.isNaN { return "NaN" }
        return number.isInfinite ? (number < 0 ? "-Infinity" : "Infinity") : "\(number)"
    }

    private static func quoted(_ text: String) -> String {
        "\"\(text.replacing(["\"": "\\\"", "\\": "\\\\"]))\""
    }

    private static func hexText(of bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}
