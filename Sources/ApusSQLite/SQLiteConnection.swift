import ApusCore
import ApusData
import Foundation
import GRDB

/// One connection, used by one thread at a time. Statements are kept prepared.
struct SQLiteConnection: Sendable {
    private let queue: DatabaseQueue

    init(path: String, options: SQLiteOptions, readonly: Bool) throws {
        var configuration = GRDB.Configuration()
        configuration.readonly = readonly
        configuration.journalMode = readonly || path == ":memory:" ? .default : .wal
        configuration.busyMode = .timeout(options.busyTimeout.seconds)
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

    func close() { try? queue.close() }
}

extension GRDB.Database {
    func rows(of sql: ApusData.SQL) throws -> [ApusData.Row] {
        let (text, values) = sql.rendered { _ in "?" }
        let statement = try cachedStatement(sql: text)
        statement.arguments = StatementArguments(try values.map { try $0.databaseValue })
        let cursor = try GRDB.Row.fetchCursor(statement)
        let columns = statement.columnNames
        var rows: [ApusData.Row] = []
        while let row = try cursor.next() {
            let values = columns.indices.map { index -> SQLValue in SQLValue(row[index] as DatabaseValue) }
            rows.append(ApusData.Row(columns: columns, values: values))
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
            case .timestamp(let date): return Int64((date.timeIntervalSince1970 * 1e6).rounded()).databaseValue
            }
        }
    }

    fileprivate init(_ value: DatabaseValue) {
        switch value.storage {
        case .null: self = .null
        case .int64(let number): self = .integer(number)
        case .double(let number): self = .real(number)
        case .string(let text): self = .text(text)
        case .blob(let data): self = .blob(Array(data))
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
