import ApusCore
import ApusData
import Foundation
import GRDB
import GRDBSQLite

extension GRDB.Statement {
    /// Sets the values of the parameters.
    func bind(_ values: [SQLValue]) throws {
        arguments = StatementArguments(try values.map { try $0.databaseValue })
    }

    /// Returns the current row.
    ///
    /// It is read from SQLite directly: another process may have changed the table since the statement was prepared, and
    /// GRDB's rows keep the columns of that time.
    /// - Parameter columns: The names of the columns, if a row was read before.
    func currentRow(columns: [String]?) -> ApusData.Row {
        let columns = columns ?? currentColumns
        return ApusData.Row(columns: columns, values: columns.indices.map { value(at: Int32($0)) })
    }

    private var currentColumns: [String] {
        (0..<sqlite3_column_count(sqliteStatement)).map { index in
            sqlite3_column_name(sqliteStatement, index).map { String(cString: $0) } ?? ""
        }
    }

    /// Returns the value of a column of the current row.
    private func value(at index: Int32) -> SQLValue {
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
