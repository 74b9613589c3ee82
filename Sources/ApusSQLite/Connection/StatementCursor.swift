import ApusData
import GRDB

/// The place in the rows of a query that is read in batches.
///
/// `@unchecked Sendable`: the mutable property is accessed on the thread of the connection only. Its session closes the
/// cursor there, so the statement is never freed on another thread.
final class StatementCursor: @unchecked Sendable {
    private enum State {
        case unopened
        case open(GRDB.Statement, RowCursor)
        case closed
    }

    /// The limits of a batch.
    private static let (maximumRows, maximumBytes) = (100, 256 << 10)

    private let sql: ApusData.SQL
    private var state = State.unopened

    init(_ sql: ApusData.SQL) { self.sql = sql }

    /// Returns the next rows; none at the end.
    func next(_ connection: OpenConnection) throws -> [ApusData.Row] {
        let (statement, cursor): (GRDB.Statement, RowCursor)
        switch state {
        case .unopened:
            // Not from the cache, where another query of the same text would find it in use.
            statement = try connection.makeStatement(sql)
            cursor = try GRDB.Row.fetchCursor(statement)
            state = .open(statement, cursor)
        case .open(let openStatement, let openCursor): (statement, cursor) = (openStatement, openCursor)
        case .closed: return []
        }
        var rows: [ApusData.Row] = []
        var bytes = 0
        while rows.count < Self.maximumRows, bytes < Self.maximumBytes {
            guard try cursor.next() != nil else {
                close()
                break
            }
            let row = statement.handle.row(rows.first?.columns ?? statement.handle.columns)
            bytes += row.size
            rows.append(row)
        }
        return rows
    }

    func close() { state = .closed }
}
