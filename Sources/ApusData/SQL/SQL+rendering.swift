package import ApusCore

extension SQL {
    /// Returns the text in a dialect, with placeholders as the dialect writes them, and the values in order.
    /// - Throws: An `AppError` of code `invalidArgument` if a name contains U+0000, or if there are more values than a
    ///   statement can have.
    package func rendered(for dialect: SQLDialect) throws -> (text: String, values: [SQLValue]) {
        let sql = resolvingLists(for: dialect)
        return (try sql.template.text(for: dialect), sql.values)
    }

    /// Returns the statement with its lists as a dialect takes them. Without lists, it stays as it is.
    package func resolvingLists(for dialect: SQLDialect) -> SQL {
        guard template.hasLists else { return self }
        var result = SQL(template: SQLTemplate(parts: []), values: [])
        var rest = values[...]
        for part in template.parts {
            switch part {
            case .list(let count):
                result.append(list: Array(rest.prefix(count)), dialect)
                rest.removeFirst(count)
            case .value:
                result.template.parts.append(part)
                result.values += rest.prefix(1)
                rest.removeFirst()
            case .text, .strict, .identifier, .type, .rowLock: result.template.parts.append(part)
            }
        }
        return result
    }

    private mutating func append(list: [SQLValue], _ dialect: SQLDialect) {
        if dialect == .postgres, let array = ArrayLiteral.text(of: list), let comparison = takeComparison() {
            template.parts += [.text("\(comparison)("), .value, .text(")")]
            values.append(.text(array))
            return
        }
        // Repeating the last value up to the next power of two keeps the number of different statements small. Each is
        // prepared and cached. `IN` an empty list is standard only in SQLite.
        let count = list.isEmpty ? 0 : min(1 << (Int.bitWidth - (list.count - 1).leadingZeroBitCount), 16_384)
        let padding = Array(repeating: list.last ?? .null, count: max(0, count - list.count))
        template.parts.append(.list(count: list.count + padding.count))
        values += list + padding
    }

    /// Removes `IN` or `NOT IN` at the end of the text.
    /// - Returns: The comparison with an array that replaces it; `nil` if the text ends otherwise.
    private mutating func takeComparison() -> String? {
        var text = ""
        while case .text(let last)? = template.parts.last {
            text = last + text
            template.parts.removeLast()
        }
        defer { if !text.isEmpty { template.parts.append(.text(text)) } }
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

extension SQLTemplate {
    /// Whether there are lists of values.
    package var hasLists: Bool {
        for case .list in parts { return true }
        return false
    }

    /// Returns the text in a dialect, with placeholders as the dialect writes them.
    /// - Throws: An `AppError` of code `invalidArgument` if a name contains U+0000, or if there are more values than a
    ///   statement can have.
    package func text(for dialect: SQLDialect) throws(AppError) -> String {
        for case .identifier(let name) in parts where name.utf8.contains(0) {
            throw AppError(.invalidArgument, "The name of a table or a column must not contain the character U+0000.")
        }
        guard valueCount <= dialect.maximumValues else {
            throw AppError(
                .invalidArgument,
                "A statement has \(valueCount) values; the maximum is \(dialect.maximumValues). Split it.")
        }
        return text(for: dialect) { number in dialect == .postgres ? "$\(number)" : "?" }
    }

    private var valueCount: Int {
        parts.reduce(0) { count, part in
            switch part {
            case .value: count + 1
            case .list(let length): count + length
            case .text, .strict, .identifier, .type, .rowLock: count
            }
        }
    }

    /// Returns the text in a dialect.
    /// - Parameter placeholder: Returns the placeholder for the number of a value, starting at 1.
    package func text(for dialect: SQLDialect, placeholder: (Int) -> String) -> String {
        var text = ""
        var number = 0
        for part in parts {
            switch part {
            case .text(let literal): text += literal
            case .strict: text += dialect == .sqlite ? " STRICT" : ""
            case .value:
                number += 1
                text += placeholder(number)
            case .list(let count):
                text += "(\((0..<count).map { placeholder(number + 1 + $0) }.joined(separator: ", ")))"
                number += count
            case .identifier(let name): text += Self.quoted(name)
            case .type(let type): text += type.name(in: dialect)
            case .rowLock(let skipsLocked):
                if dialect == .postgres { text += skipsLocked ? " FOR UPDATE SKIP LOCKED" : " FOR UPDATE" }
            }
        }
        return text
    }

    /// Quotes a name. U+0000 would end the statement, so it becomes a character that no name has.
    private static func quoted(_ name: String) -> String {
        "\"\(name.replacing(["\"": "\"\"", "\0": "\u{FFFD}"]))\""
    }
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
