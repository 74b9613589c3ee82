import ApusCore
import ApusData
import GRDB

extension GRDB.Database {
    func rows(of sql: ApusData.SQL) throws -> [ApusData.Row] {
        let statement = try statement(sql)
        return try statement.handle.rows(columns: nil, sql: statement.sql)
    }

    func executeUpdate(_ sql: ApusData.SQL) throws -> Int {
        try statement(sql).execute()
        return changesCount
    }

    /// Runs a statement that begins or ends a transaction or a savepoint. It is prepared once.
    func control(_ sql: String) throws { try cachedStatement(sql: sql).execute() }

    /// Returns a prepared statement with its values.
    /// - Parameter isCached: Whether it may be one that was prepared before.
    func statement(_ sql: ApusData.SQL, isCached: Bool = true) throws -> GRDB.Statement {
        let (text, values) = try sql.rendered(for: .sqlite)
        try SQLiteConnection.refuseCheckpoints(sql, text)
        let statement = try isCached ? cachedStatement(sql: text) : makeStatement(sql: text)
        // Tells GRDB that it has no arguments to bind.
        statement.handle.reset()
        statement.setUncheckedArguments(StatementArguments())
        try statement.handle.bind(values)
        return statement
    }
}

extension GRDB.Statement {
    var handle: StatementHandle { StatementHandle(pointer: sqliteStatement) }
}
