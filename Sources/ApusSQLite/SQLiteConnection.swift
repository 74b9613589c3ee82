import ApusCore
import ApusData
import Foundation
import GRDB
import GRDBSQLite

/// One connection, used by one thread at a time. Statements are kept prepared.
struct SQLiteConnection: Sendable {
    private let queue: DatabaseQueue

    /// - Parameter waitsForLock: Asked, on the connection's thread, whether to try again for a lock that another process has; by
    ///   default as long as the options say.
    init(
        path: String, options: SQLiteOptions, readonly: Bool, waitsForLock: (@Sendable () -> Bool)? = nil
    ) throws {
        var configuration = GRDB.Configuration()
        configuration.readonly = readonly
        configuration.journalMode = readonly || path == ":memory:" ? .default : .wal
        configuration.busyMode =
            waitsForLock.map { waits in .callback { _ in waits() } } ?? .timeout(options.busyTimeout.seconds)
        // Transactions are opened and closed by statements of ours, across several visits to the connection.
        configuration.allowsUnsafeTransactions = true
        configuration.label = readonly ? "apus.sqlite.reader" : "apus.sqlite.writer"
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
            if !readonly {
                try queue.inDatabase { try $0.execute(sql: "PRAGMA synchronous = \(options.durability.rawValue)") }
            }
        } catch {
            throw AppError(.unavailable, "The database \(path) cannot be opened: \(error).", cause: error)
        }
    }

    /// Visits the connection. Synchronous: GRDB's asynchronous visits cost fifty times as much.
    func use<Result>(_ body: (GRDB.Database) throws -> Result) throws -> Result {
        try Self.translatingErrors { try queue.inDatabase(body) }
    }

    /// Runs a body, and throws what it throws as what a caller may know of it.
    static func translatingErrors<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as DatabaseError {
            throw AppError(sqlite: error)
        }
    }

    /// Ends the statement that is running, from any thread.
    func interrupt() { queue.interrupt() }

    func close() { try? queue.close() }
}

extension GRDB.Database {
    func rows(of sql: ApusData.SQL) throws -> [ApusData.Row] {
        let (text, values) = sql.rendered { _ in "?" }
        let statement = try cachedStatement(sql: text)
        statement.arguments = StatementArguments(try values.map { try $0.databaseValue })
        let cursor = try GRDB.Row.fetchCursor(statement)
        var columns: [String] = []
        var rows: [ApusData.Row] = []
        while try cursor.next() != nil {
            // Read from SQLite itself: another process may have changed the table since the statement was prepared, and
            // GRDB's rows keep the columns of that time.
            if rows.isEmpty { columns = statement.presentColumns }
            rows.append(ApusData.Row(columns: columns, values: columns.indices.map { statement.value(at: Int32($0)) }))
        }
        return rows
    }

    func change(by sql: ApusData.SQL) throws -> Int {
        let (text, values) = sql.rendered { _ in "?" }
        let statement = try cachedStatement(sql: text)
        try statement.execute(arguments: StatementArguments(try values.map { try $0.databaseValue }))
        return changesCount
    }
}

extension GRDB.Statement {
    fileprivate var presentColumns: [String] {
        (0..<sqlite3_column_count(sqliteStatement)).map { index in
            sqlite3_column_name(sqliteStatement, index).map { String(cString: $0) } ?? ""
        }
    }

    /// A column of the present row.
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
                // It would be cut off there without a word. Postgres refuses it too.
                guard !text.utf8.contains(0) else {
                    throw AppError(.invalidArgument, "Text must not contain the character U+0000.")
                }
                return text.databaseValue
            case .blob(let bytes): return Data(bytes).databaseValue
            case .timestamp(let date):
                guard let microseconds = Int64(exactly: (date.timeIntervalSince1970 * 1e6).rounded()) else {
                    throw AppError(.invalidArgument, "The date is too far from now to be stored.")
                }
                return microseconds.databaseValue
            }
        }
    }
}

extension AppError {
    /// What a caller may know of SQLite's error; the statement goes to the log.
    fileprivate init(sqlite error: DatabaseError) {
        switch error.extendedResultCode {
        case .SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_PRIMARYKEY:
            self.init(.alreadyExists, "Something with the same key exists already.", cause: error)
        case .SQLITE_CONSTRAINT_FOREIGNKEY, .SQLITE_CONSTRAINT_CHECK, .SQLITE_CONSTRAINT_NOTNULL:
            self.init(.failedPrecondition, "The change breaks a rule of the database.", cause: error)
        default:
            switch error.resultCode {
            case .SQLITE_INTERRUPT: self.init(.cancelled, "The statement was cancelled.", cause: error)
            case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_FULL, .SQLITE_IOERR:
                self.init(.unavailable, "The database cannot be used right now.", cause: error)
            case .SQLITE_CORRUPT, .SQLITE_NOTADB:
                self.init(.dataLoss, "The database is damaged.", cause: error)
            default:
                self.init(.internal, "A statement failed.", cause: error)
            }
        }
    }
}
