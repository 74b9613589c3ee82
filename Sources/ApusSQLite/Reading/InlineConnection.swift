import ApusCore
import ApusData
import GRDB
import GRDBSQLite

/// A read-only connection for reads that run at once. It calls SQLite directly, because the queue by which GRDB serialises
/// the access to a connection costs a read as much as the read itself.
///
/// `@unchecked Sendable`: ``InlineReads`` lends it to one thread at a time.
final class InlineConnection: @unchecked Sendable {
    private struct Statement {
        let handle: StatementHandle
        let columns: [String]
        let text: String
    }

    /// The number of prepared statements above which all are freed.
    private static let maximumStatements = 256

    private let connection: OpaquePointer
    private let monitor = StatementMonitor()
    private var statements: [SQLTemplate: Statement] = [:]

    /// Opens a connection.
    /// - Throws: An `AppError` of code `unavailable`.
    init(path: String) throws {
        var connection: OpaquePointer?
        let code = sqlite3_open_v2(path, &connection, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nil)
        guard let connection, code == SQLITE_OK else {
            sqlite3_close_v2(connection)
            let cause = DatabaseError(resultCode: ResultCode(rawValue: code))
            throw AppError(.unavailable, "Cannot open the database \(path): \(cause).", cause: cause)
        }
        self.connection = connection
        sqlite3_extended_result_codes(connection, 1)
        monitor.observe(connection)
    }

    /// Runs a query whose text only reads.
    /// - Parameter instructions: The approximate number of instructions at which it is broken off.
    /// - Throws: A `DatabaseError`, of code `SQLITE_INTERRUPT` if the query was broken off, of code `SQLITE_MISUSE` if the
    ///   text goes on after the query, or an `AppError`.
    func rows(of sql: ApusData.SQL, instructions: Int) throws -> [ApusData.Row] {
        try monitor.watch(instructions: instructions) { try rows(of: sql) }
    }

    /// Runs a closure whose reads see one moment.
    func inTransaction<Result>(_ body: () throws -> Result) throws -> Result {
        // Neither the beginning nor the end is watched: broken off, they might leave the transaction open.
        defer { if isInTransaction { _ = try? rows(of: Self.end) } }
        _ = try rows(of: Self.begin)
        return try body()
    }

    /// Whether a transaction is open, which keeps later reads from seeing what was changed meanwhile.
    var isInTransaction: Bool { sqlite3_get_autocommit(connection) == 0 }

    /// The beginning and the end of a transaction that only reads.
    private static let (begin, end): (ApusData.SQL, ApusData.SQL) = ("BEGIN", "ROLLBACK")

    private func rows(of sql: ApusData.SQL) throws -> [ApusData.Row] {
        let statement = try statements[sql.template] ?? prepare(sql.template)
        try statement.handle.bind(sql.values)
        return try statement.handle.rows(columns: statement.columns, sql: statement.text)
    }

    private func prepare(_ template: SQLTemplate) throws -> Statement {
        let text = try template.text(for: .sqlite)
        try StatementCache.check(text)
        if statements.count >= Self.maximumStatements { finalizeStatements() }
        var pointer: OpaquePointer?
        var rest: UnsafePointer<CChar>?
        let (code, isWhole) = text.withCString { start in
            let code = sqlite3_prepare_v3(
                connection, start, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, &rest)
            return (code, rest?.pointee == 0)
        }
        guard let pointer, code == SQLITE_OK, isWhole else {
            sqlite3_finalize(pointer)
            throw DatabaseError(
                resultCode: code == SQLITE_OK ? .SQLITE_MISUSE : ResultCode(rawValue: code),
                message: String(cString: sqlite3_errmsg(connection)), sql: text)
        }
        let handle = StatementHandle(pointer: pointer)
        let statement = Statement(handle: handle, columns: handle.columns, text: text)
        statements[template] = statement
        return statement
    }

    private func finalizeStatements() {
        for statement in statements.values { sqlite3_finalize(statement.handle.pointer) }
        statements = [:]
    }

    deinit {
        finalizeStatements()
        sqlite3_close_v2(connection)
    }
}
