import ApusCore

/// What an `INSERT` does with a row whose key is taken.
public enum InsertConflict: Sendable, Hashable {
    /// The statement fails with `alreadyExists`.
    case fails
    /// The row is left out. Any unique key counts.
    case isIgnored
    /// The row that has the same values in the `key` columns gets the new values of the `columns`.
    ///
    /// On Postgres, no two rows of one call may have the same key.
    case updates(key: [String], columns: [String])
}

extension Database {
    /// Inserts many rows, with few statements and in one transaction.
    ///
    /// ```swift
    /// try await database.insert(
    ///     into: "prices", columns: ["sku", "amount"], rows: prices.map { [$0.sku, $0.amount] },
    ///     onConflict: .updates(key: ["sku"], columns: ["amount"]))
    /// ```
    /// - Parameters:
    ///   - table: The name of the table.
    ///   - columns: The names of the columns.
    ///   - rows: The values of each row, in the order of the columns.
    ///   - onConflict: What to do with a row whose key is taken. By default the call fails, and inserts nothing.
    /// - Returns: The number of rows that were inserted or updated.
    /// - Throws: An `AppError` of code `invalidArgument` if a row has not as many values as there are columns.
    @discardableResult
    public func insert(
        into table: String, columns: [String], rows: [[any SQLValueConvertible]],
        onConflict: InsertConflict = .fails
    ) async throws -> Int {
        let statements = try BulkInsert(table: table, columns: columns, onConflict: onConflict)
            .statements(rows.map { $0.map(\.sqlValue) }, dialect)
        guard statements.count > 1 else {
            guard let statement = statements.first else { return 0 }
            return try await execute(statement)
        }
        return try await transaction {
            var count = 0
            for statement in statements { count += try await execute(statement) }
            return count
        }
    }
}

/// The statements that insert many rows.
struct BulkInsert {
    let table: String
    let columns: [String]
    let onConflict: InsertConflict

    /// The maximum number of rows in a statement. More make it hardly faster.
    private static let maximumRows = 1024

    /// Returns the statements. The number of rows in each is a power of two, so that there are few different ones, each
    /// of which is prepared and cached.
    func statements(_ rows: [[SQLValue]], _ dialect: SQLDialect) throws -> [SQL] {
        guard !columns.isEmpty, columns.count <= dialect.maximumValues else {
            throw AppError(.invalidArgument, "Rows must have from 1 to \(dialect.maximumValues) columns.")
        }
        if let index = rows.firstIndex(where: { $0.count != columns.count }) {
            throw AppError(
                .invalidArgument,
                "Row \(index) has \(rows[index].count) values; there are \(columns.count) columns.")
        }
        var statements: [SQL] = []
        var rest = rows[...]
        var size = Self.maximumRows
        while !rest.isEmpty {
            while size > rest.count || size * columns.count > dialect.maximumValues { size /= 2 }
            statements.append(statement(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        return statements
    }

    private func statement(_ rows: ArraySlice<[SQLValue]>) -> SQL {
        let values = rows.map { row -> SQL in "(\(SQL.joined(row.map { "\($0)" }, separator: ", ")))" }
        return """
            INSERT INTO \(identifier: table) (\(Self.names(columns))) VALUES \(SQL.joined(values, separator: ", "))\(conflict)
            """
    }

    private var conflict: SQL {
        switch onConflict {
        case .fails: return ""
        case .isIgnored: return " ON CONFLICT DO NOTHING"
        case .updates(let key, let columns):
            guard !columns.isEmpty else { return " ON CONFLICT (\(Self.names(key))) DO NOTHING" }
            let assignments = columns.map { name -> SQL in "\(identifier: name) = excluded.\(identifier: name)" }
            return " ON CONFLICT (\(Self.names(key))) DO UPDATE SET \(SQL.joined(assignments, separator: ", "))"
        }
    }

    private static func names(_ columns: [String]) -> SQL {
        SQL.joined(columns.map { "\(identifier: $0)" }, separator: ", ")
    }
}
