import ApusCore
import ApusData
import GRDB

/// The prepared statements of a connection, of which those that were used last are kept. GRDB's own cache has no limit, and
/// a list of values makes a statement of each length.
///
/// `@unchecked Sendable`: used only by the thread that has the connection, in ``SQLiteConnection/use(_:)``.
final class StatementCache: @unchecked Sendable {
    private struct Entry {
        let statement: GRDB.Statement
        let bytes: Int
        /// Whether it begins or ends a transaction or a savepoint.
        let isControl: Bool
        var lastUse: UInt64
    }

    private let limit: Int
    private let byteLimit: Int
    private var entries: [SQLTemplate: Entry] = [:]
    private var uses: UInt64 = 0
    /// The length of all texts, in bytes of UTF-8.
    private var bytes = 0

    /// Creates a cache.
    /// - Parameters:
    ///   - limit: The maximum number of statements.
    ///   - byteLimit: The maximum length of their texts together; a single longer one is kept until the next.
    init(limit: Int = 256, byteLimit: Int = 1 << 20) {
        self.limit = limit
        self.byteLimit = byteLimit
    }

    /// Returns the statement of a template, prepared now or before.
    /// - Parameter isControl: Whether it may begin or end a transaction or a savepoint.
    func statement(
        _ template: SQLTemplate, on database: GRDB.Database, isControl: Bool = false
    ) throws -> GRDB.Statement {
        uses += 1
        if let index = entries.index(forKey: template) {
            let entry = entries.values[index]
            if entry.isControl, !isControl { try StatementGuard.check(entry.statement.sql) }
            entries.values[index].lastUse = uses
            return entry.statement
        }
        let sql = try template.text(for: .sqlite)
        if !isControl { try StatementGuard.check(sql) }
        try Self.check(sql)
        let statement = try database.makeStatement(sql: sql)
        entries[template] = Entry(statement: statement, bytes: sql.utf8.count, isControl: isControl, lastUse: uses)
        bytes += sql.utf8.count
        while entries.count > limit || (bytes > byteLimit && entries.count > 1) { removeOldest() }
        return statement
    }

    /// - Throws: An `AppError` of code `internal` if SQLite would read only a part of a text.
    static func check(_ sql: String) throws(AppError) {
        guard !sql.utf8.contains(0) else {
            throw AppError(.internal, "A statement must not contain the character U+0000.")
        }
    }

    private func removeOldest() {
        guard let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) else { return }
        remove(oldest.key)
    }

    /// Forgets a statement that has failed, which may not be usable again.
    func remove(_ template: SQLTemplate) {
        if let entry = entries.removeValue(forKey: template) { bytes -= entry.bytes }
    }

    /// Forgets all statements. An open connection cannot be closed while there are any.
    func removeAll() {
        entries = [:]
        bytes = 0
    }
}
