import ApusCore
import ApusData
import Foundation
import GRDB
import GRDBSQLite

/// A connection, used by one thread at a time. It caches prepared statements.
struct SQLiteConnection: Sendable {
    private let queue: DatabaseQueue

    /// Opens a connection.
    /// - Parameter retriesLock: Called on the connection's thread when another process holds the lock; returns whether
    ///   to try again. By default, the connection retries until the options' `busyTimeout`.
    /// - Throws: An `AppError` of code `unavailable`.
    init(
        path: String, options: SQLiteOptions, for purpose: Purpose, retriesLock: (@Sendable () -> Bool)? = nil
    ) throws {
        var configuration = GRDB.Configuration()
        configuration.readonly = purpose == .reading
        configuration.busyMode =
            retriesLock.map { retries in .callback { _ in retries() } } ?? .timeout(options.busyTimeout.seconds)
        // Transactions begin and end with explicit statements, across several accesses to the connection.
        configuration.allowsUnsafeTransactions = true
        configuration.label = "apus.sqlite.\(purpose.rawValue)"
        configuration.prepareDatabase { database in
            try Self.setUp(database, for: purpose, inMemory: path == ":memory:", options)
        }
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
        } catch let error as AppError {
            throw AppError(.unavailable, "Cannot open the database \(path): \(error.message)", cause: error.cause)
        } catch {
            throw AppError(.unavailable, "Cannot open the database \(path): \(error).", cause: error)
        }
    }

    /// Runs a closure with the connection. Synchronous, because GRDB's asynchronous access costs fifty times as much.
    func use<Result>(_ body: (GRDB.Database) throws -> Result) throws -> Result {
        try Self.translatingErrors { try queue.inDatabase(body) }
    }

    /// Runs a closure and converts SQLite errors to `AppError`s that hide the details from callers.
    static func translatingErrors<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as DatabaseError {
            throw AppError(sqlite: error)
        }
    }

    /// Interrupts the running statement. Can be called from any thread.
    func interrupt() { queue.interrupt() }

    func close() { try? queue.close() }
}

extension GRDB.Database {
    func rows(of sql: ApusData.SQL) throws -> [ApusData.Row] {
        let (text, values) = sql.rendered { _ in "?" }
        try SQLiteConnection.refuseCheckpoints(sql, text)
        let statement = try cachedStatement(sql: text)
        statement.arguments = StatementArguments(try values.map { try $0.databaseValue })
        let cursor = try GRDB.Row.fetchCursor(statement)
        var columns: [String] = []
        var rows: [ApusData.Row] = []
        while try cursor.next() != nil {
            // Read from SQLite directly: another process may have changed the table since the statement was prepared,
            // and GRDB's rows keep the columns of that time.
            if rows.isEmpty { columns = statement.currentColumns }
            rows.append(ApusData.Row(columns: columns, values: columns.indices.map { statement.value(at: Int32($0)) }))
        }
        return rows
    }

    func executeUpdate(_ sql: ApusData.SQL) throws -> Int {
        let (text, values) = sql.rendered { _ in "?" }
        try SQLiteConnection.refuseCheckpoints(sql, text)
        let statement = try cachedStatement(sql: text)
        try statement.execute(arguments: StatementArguments(try values.map { try $0.databaseValue }))
        return changesCount
    }
}

extension GRDB.Statement {
    fileprivate var currentColumns: [String] {
        (0..<sqlite3_column_count(sqliteStatement)).map { index in
            sqlite3_column_name(sqliteStatement, index).map { String(cString: $0) } ?? ""
        }
    }

    /// Returns the value of a column of the current row.
    fileprivate func value(at index: Int32) -> SQLValue {
        switch sqlite3_column_type(sqliteStatement, index) {
        case SQLITE_INTEGER: .integer(sqlite3_column_int64(sqliteStatement, index))
        case SQLITE_FLOAT: .real(sqlite3_column_double(sqliteStatement, index))
        case SQLITE_TEXT:
            .text(String(decoding: bytes(sqlite3_column_text(sqliteStatement, index), index), as: UTF8.self))
        case SQLITE_BLOB: .blob(Array(bytes(sqlite3_column_blob(sqliteStatement, index), index)))
        default: .null
        }
    }

    private func bytes(_ start: UnsafeRawPointer?, _ index: Int32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: start, count: start == nil ? 0 : Int(sqlite3_column_bytes(sqliteStatement, index)))
    }
}

extension SQLValue {
    fileprivate var databaseValue: DatabaseValue {
        get throws {
            switch self {
            case .null: return .null
            case .integer(let number): return number.databaseValue
            case .real(let number): return number.databaseValue
            case .text(let text):
                // The text would be silently truncated there. Postgres rejects U+0000 too.
                guard !text.utf8.contains(0) else {
                    throw AppError(.invalidArgument, "Text must not contain the character U+0000.")
                }
                return text.databaseValue
            case .blob(let bytes): return Data(bytes).databaseValue
            case .timestamp(let date):
                guard let microseconds = Int64(exactly: (date.timeIntervalSince1970 * 1e6).rounded()) else {
                    throw AppError(
                        .invalidArgument,
                        "The date is out of range: as microseconds since 1970, it must fit into 64 bits.")
                }
                return microseconds.databaseValue
            }
        }
    }
}

extension AppError {
    /// Creates an error that hides the details of the SQLite error from callers; the statement is only logged.
    fileprivate init(sqlite error: DatabaseError) {
        switch error.extendedResultCode {
        case .SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_PRIMARYKEY:
            self.init(.alreadyExists, "An entry with the same key already exists.", cause: error)
        case .SQLITE_CONSTRAINT_FOREIGNKEY, .SQLITE_CONSTRAINT_CHECK, .SQLITE_CONSTRAINT_NOTNULL:
            self.init(.failedPrecondition, "The change violates a constraint of the database.", cause: error)
        default:
            switch error.resultCode {
            case .SQLITE_INTERRUPT: self.init(.cancelled, "The statement was cancelled.", cause: error)
            case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_FULL, .SQLITE_IOERR:
                self.init(.unavailable, "The database is temporarily unavailable.", cause: error)
            case .SQLITE_CORRUPT, .SQLITE_NOTADB:
                self.init(.dataLoss, "The database is corrupt.", cause: error)
            default:
                self.init(.internal, "A statement failed.", cause: error)
            }
        }
    }
}
