import ApusData
import GRDB
import GRDBSQLite

/// A prepared statement of SQLite.
///
/// It is read directly: another process may have changed the table since it was prepared, and GRDB's rows keep the columns of
/// that time.
struct StatementHandle {
    let pointer: OpaquePointer

    /// Ends the statement's run. The error of one that failed was already reported.
    func reset() { sqlite3_reset(pointer) }

    /// Runs the statement.
    /// - Parameters:
    ///   - columns: The names of the columns when the statement was prepared, if they are known.
    ///   - sql: The text of the statement, for the error.
    func rows(columns: [String]?, sql: String) throws -> [ApusData.Row] {
        defer { reset() }
        var (count, columns, values): (Int, [String]?, [SQLValue]) = (0, columns, [])
        while true {
            switch sqlite3_step(pointer) {
            case SQLITE_ROW:
                if count == 0 {
                    if columns == nil || wasPreparedAgain { columns = self.columns }
                    values.reserveCapacity(columns?.count ?? 0)
                }
                count += 1
                for index in 0..<Int32(columns?.count ?? 0) { values.append(value(at: index)) }
            case SQLITE_DONE: return ApusData.Row.rows(0..<count, columns: columns ?? [], values: values)
            case let code: throw error(code, sql)
            }
        }
    }

    /// Whether SQLite has prepared the statement again, because its tables had changed, possibly with other columns.
    private var wasPreparedAgain: Bool { sqlite3_stmt_status(pointer, SQLITE_STMTSTATUS_REPREPARE, 0) > 0 }

    private func error(_ code: Int32, _ sql: String) -> DatabaseError {
        let message = sqlite3_errmsg(sqlite3_db_handle(pointer)).map { String(cString: $0) }
        return DatabaseError(resultCode: ResultCode(rawValue: code), message: message, sql: sql)
    }

    /// Returns the current row.
    func row(_ columns: [String]) -> ApusData.Row {
        ApusData.Row(columns: columns, values: columns.indices.map { value(at: Int32($0)) })
    }

    /// The names of the columns.
    var columns: [String] {
        (0..<sqlite3_column_count(pointer)).map { index in
            sqlite3_column_name(pointer, index).map { String(cString: $0) } ?? ""
        }
    }

    /// Returns the value of a column of the current row.
    private func value(at index: Int32) -> SQLValue {
        switch sqlite3_column_type(pointer, index) {
        case SQLITE_INTEGER: .integer(sqlite3_column_int64(pointer, index))
        case SQLITE_FLOAT: .real(sqlite3_column_double(pointer, index))
        case SQLITE_TEXT:
            .text(String(decoding: bytes(sqlite3_column_text(pointer, index), index), as: UTF8.self))
        case SQLITE_BLOB: .blob(Array(bytes(sqlite3_column_blob(pointer, index), index)))
        default: .null
        }
    }

    private func bytes(_ start: UnsafeRawPointer?, _ index: Int32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: start, count: start == nil ? 0 : Int(sqlite3_column_bytes(pointer, index)))
    }
}
