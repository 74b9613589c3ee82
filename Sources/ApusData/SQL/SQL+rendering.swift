import ApusCore

extension SQL {
    /// Returns the text in a dialect, with placeholders as the dialect writes them, and the values in order.
    /// - Throws: An `AppError` of code `invalidArgument` if a name contains U+0000, or if there are more values than a
    ///   statement can have.
    package func rendered(for dialect: SQLDialect) throws -> (text: String, values: [SQLValue]) {
        for case .identifier(let name) in parts where name.utf8.contains(0) {
            throw AppError(.invalidArgument, "The name of a table or a column must not contain the character U+0000.")
        }
        let rendered = rendered(for: dialect) { number in
            switch dialect {
            case .sqlite: "?"
            case .postgres: PostgresPlaceholder.text(number)
            }
        }
        guard rendered.values.count <= dialect.maximumValues else {
            throw AppError(
                .invalidArgument,
                "A statement has \(rendered.values.count) values; the maximum is \(dialect.maximumValues). Split it.")
        }
        return rendered
    }

    /// Returns the text, with a placeholder for each value, and the values in order.
    /// - Parameters:
    ///   - dialect: The dialect of column types, lists and locks.
    ///   - placeholder: Returns the placeholder for the number of a value, starting at 1.
    package func rendered(
        for dialect: SQLDialect = .postgres, placeholder: (Int) -> String
    ) -> (text: String, values: [SQLValue]) {
        var text = ""
        var values: [SQLValue] = []
        for part in parts {
            switch part {
            case .text(let literal): text += literal
            case .strict: text += dialect == .sqlite ? " STRICT" : ""
            case .value(let value):
                values.append(value)
                text += placeholder(values.count)
            case .list(let list): Self.append(list, dialect, &text, &values, placeholder)
            case .identifier(let name): text += Self.quoted(name)
            case .type(let type): text += type.name(in: dialect)
            case .rowLock(let skipsLocked):
                if dialect == .postgres { text += skipsLocked ? " FOR UPDATE SKIP LOCKED" : " FOR UPDATE" }
            }
        }
        return (text, values)
    }

    /// Quotes a name. U+0000 would end the statement, so it becomes a character that no name has.
    private static func quoted(_ name: String) -> String {
        "\"\(name.replacing(["\"": "\"\"", "\0": "\u{FFFD}"]))\""
    }

    private static func append(
        _ list: [SQLValue], _ dialect: SQLDialect, _ text: inout String, _ values: inout [SQLValue],
        _ placeholder: (Int) -> String
    ) {
        if dialect == .postgres, let array = ArrayLiteral.text(of: list), let comparison = takeComparison(from: &text) {
            values.append(.text(array))
            text += "\(comparison)(\(placeholder(values.count)))"
            return
        }
        // Repeating the last value up to the next power of two keeps the number of different statements small. Each is
        // prepared and cached. `IN` an empty list is standard only in SQLite.
        let count = list.isEmpty ? 0 : min(1 << (Int.bitWidth - (list.count - 1).leadingZeroBitCount), 16_384)
        let padded = list + Array(repeating: list.last ?? .null, count: max(0, count - list.count))
        let placeholders = padded.map { value in
            values.append(value)
            return placeholder(values.count)
        }
        text += "(\(placeholders.joined(separator: ", ")))"
    }

    /// Removes `IN` or `NOT IN` at the end of a text.
    /// - Returns: The comparison with an array that replaces it; `nil` if the text ends otherwise.
    private static func takeComparison(from text: inout String) -> String? {
        let words = text.split { $0.isWhitespace }.suffix(2)
        guard words.last?.uppercased() == "IN" else { return nil }
        let isNegated = words.count == 2 && words.first?.uppercased() == "NOT"
        for word in words.suffix(isNegated ? 2 : 1).reversed() {
            while text.last?.isWhitespace == true { text.removeLast() }
            text.removeLast(word.count)
        }
        return isNegated ? "<> ALL" : "= ANY"
    }
}

/// The placeholders of Postgres: `$1`, `$2` and so on. Those that most statements have are not built again each time.
private enum PostgresPlaceholder {
    private static let first = (0...64).map { "$\($0)" }

    static func text(_ number: Int) -> String { first.indices.contains(number) ? first[number] : "$\(number)" }
}

extension SQLDialect {
    /// The maximum number of values in a statement.
    public var maximumValues: Int {
        switch self {
        case .sqlite: 32_766
        case .postgres: 65_535
        }
    }
}
