import ApusCore
public import ApusData

/// A list of values that is bound as one parameter, for comparisons with any number of values:
///
/// ```swift
/// try await database.query("SELECT * FROM orders WHERE id = ANY(\(PostgresArray(ids)))")
/// ```
///
/// Unlike a list of parameters, it has no limit on the number of values, and the statement is prepared once for all
/// lengths. The server infers the type of the elements from the statement, never from the elements.
public struct PostgresArray<Element: SQLValueConvertible>: SQLValueConvertible {
    /// The elements in order.
    public let elements: [Element]

    /// Creates an array. Text that contains U+0000 is rejected when the statement runs.
    public init(_ elements: [Element]) { self.elements = elements }

    /// The array in the format that the server reads, such as `{1,2,NULL}`.
    public var sqlValue: SQLValue {
        .text("{" + elements.map { Self.text(of: $0.sqlValue) }.joined(separator: ",") + "}")
    }

    /// Reads a one-dimensional array of a result.
    public init?(sqlValue: SQLValue) {
        guard case .text(let text) = sqlValue, let texts = ArrayText.parse(text) else { return nil }
        var elements: [Element] = []
        for text in texts {
            guard let element = Self.element(text) else { return nil }
            elements.append(element)
        }
        self.elements = elements
    }

    /// Converts the text of an element. Which of the types it has is known only to the element.
    private static func element(_ text: String?) -> Element? {
        guard let text else { return Element(sqlValue: .null) }
        if let number = Int64(text), let element = Element(sqlValue: .integer(number)) { return element }
        if let element = Element(sqlValue: .text(text)) { return element }
        if let number = Double(text), let element = Element(sqlValue: .real(number)) { return element }
        if text == "t" || text == "f" { return Element(sqlValue: .integer(text == "t" ? 1 : 0)) }
        return PostgresDate.parse(text).flatMap { Element(sqlValue: .timestamp($0)) }
    }

    private static func text(of value: SQLValue) -> String {
        switch value {
        case .null: "NULL"
        case .integer(let number): "\(number)"
        case .real(let number): ValueEncoder.text(of: number)
        case .text(let text): ArrayText.quote(text)
        case .blob(let bytes): ArrayText.quote(ValueEncoder.hexText(of: bytes))
        case .timestamp(let date): ArrayText.quote(PostgresDate.format(date) ?? "")
        }
    }
}

/// The text format of arrays.
enum ArrayText {
    static func quote(_ text: String) -> String { "\"" + text.replacing(["\"": "\\\"", "\\": "\\\\"]) + "\"" }

    /// Returns the texts of the elements of a one-dimensional array; `nil` if it is something else.
    static func parse(_ text: String) -> [String?]? {
        var bytes = Array(text.utf8)[...]
        guard bytes.popFirst() == UInt8(ascii: "{"), bytes.popLast() == UInt8(ascii: "}") else { return nil }
        guard !bytes.isEmpty else { return [] }
        var elements: [String?] = []
        var element: [UInt8] = []
        var (isQuoted, isInQuotes) = (false, false)
        func finish() {
            let text = String(decoding: element, as: UTF8.self)
            elements.append(!isQuoted && text == "NULL" ? nil : text)
            element = []
            isQuoted = false
        }
        while let byte = bytes.popFirst() {
            switch byte {
            case UInt8(ascii: "\""):
                isInQuotes.toggle()
                isQuoted = true
            case UInt8(ascii: "\\"):
                guard let escaped = bytes.popFirst() else { return nil }
                element.append(escaped)
            case UInt8(ascii: ",") where !isInQuotes: finish()
            case UInt8(ascii: "{") where !isInQuotes, UInt8(ascii: "}") where !isInQuotes: return nil
            default: element.append(byte)
            }
        }
        finish()
        return isInQuotes ? nil : elements
    }
}
