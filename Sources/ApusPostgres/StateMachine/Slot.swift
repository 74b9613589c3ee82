import ApusCore
import ApusData
import NIOCore

/// The result of a statement.
struct StatementResult: Sendable {
    var rows: [Row] = []
    /// The number of rows that the statement inserted, updated or deleted, or copied; of a group, with those returned.
    var affectedRows = 0
    /// How long the server has worked on it, with the way there and back.
    var duration = TimeAmount.zero
    /// The rows of each statement of a group.
    var group: [[Row]] = []
}

/// The state of a session's transaction.
enum TransactionStatus: UInt8, Sendable {
    case idle = 0x49  // I
    case open = 0x54  // T
    /// A statement has failed: only the transaction's end is accepted.
    case failed = 0x45  // E
}

/// A request that was written, and what the server has answered of it. The server answers in the order in which requests
/// were written.
///
/// Accessed only on the event loop of its connection. A class, because each message of an answer changes it.
final class Slot<Token> {
    enum Kind {
        /// A statement of the extended protocol.
        case statement(PreparedStatement)
        /// Text of the simple protocol.
        case simple(String)
        /// The end of a transaction. The server answers a COMMIT of a failed transaction with ROLLBACK, without an
        /// error.
        case commit
        case copyIn(String)
        case copyOut(String)
    }

    enum Copy {
        case none
        case sending
        case receiving
        case ended
    }

    /// What went wrong. Apart, because it is large and rare.
    private final class Problem {
        @exclusivity(unchecked) var error: PostgresError?
        @exclusivity(unchecked) var failure: AppError?
    }

    private static var maximumReservedRows: Int { 1024 }

    // MARK: The request

    let kind: Kind
    /// Who waits for the answer; `nil` if nobody does.
    let token: Token?
    let values: [SQLValue]
    /// Further executions of the statement in the same request.
    let further: ArraySlice<SQL>
    /// Whether the statement is prepared in this request.
    let parses: Bool
    /// The columns whose formats were requested; `nil` if all were requested in text format.
    let requested: ColumnDescription?
    /// Whether the server answers with ReadyForQuery after this request. Requests before it share its fate.
    @exclusivity(unchecked) var endsGroup = true
    /// Whether the request is a transaction of its own, which is committed when it succeeds.
    @exclusivity(unchecked) var commitsAlone = false
    /// The names of the prepared statements that this request closes.
    @exclusivity(unchecked) var closed: [String] = []
    /// Whether the request was written again after a failure.
    @exclusivity(unchecked) var isRetry = false
    /// Whether the task that has asked is gone. The answer is read and dropped.
    @exclusivity(unchecked) var isAbandoned = false
    /// The number of bytes written.
    @exclusivity(unchecked) var bytes = 0

    // MARK: The answer

    @exclusivity(unchecked) var columns: ColumnDescription?
    @exclusivity(unchecked) var parameterOIDs: [UInt32] = []
    @exclusivity(unchecked) var hasParsed = false
    @exclusivity(unchecked) var hasBound = false
    @exclusivity(unchecked) var isComplete = false
    @exclusivity(unchecked) var isRollback = false
    @exclusivity(unchecked) var affectedRows = 0
    @exclusivity(unchecked) var copy = Copy.none
    @exclusivity(unchecked) private var problem: Problem?
    /// The rows of earlier results, of text with several statements.
    @exclusivity(unchecked) private var rows: [Row] = []
    /// The number of rows of the current result, and their values.
    @exclusivity(unchecked) private var rowCount = 0
    @exclusivity(unchecked) private var rowValues: [SQLValue] = []
    /// The number of rows after each execution that is complete, apart from the last one.
    @exclusivity(unchecked) private var executionEnds: [Int] = []

    init(
        kind: Kind, token: Token?, values: [SQLValue] = [], further: ArraySlice<SQL> = [], parses: Bool = false,
        requested: ColumnDescription? = nil
    ) {
        self.kind = kind
        self.token = token
        self.values = values
        self.further = further
        self.parses = parses
        self.requested = requested
    }

    var isCopy: Bool {
        switch kind {
        case .copyIn, .copyOut: true
        case .statement, .simple, .commit: false
        }
    }

    /// Who waits for the answer, unless the task is gone.
    var waiting: Token? { isAbandoned ? nil : token }

    /// Called when the answer begins.
    func begin() {
        // A statement that was prepared before does not describe its columns again.
        if case .statement(let prepared) = kind { columns = prepared.description?.columns }
    }

    /// Called when the columns of a result are described, before its rows.
    func beginResult(_ columns: ColumnDescription) {
        endResult()
        self.columns = columns
        isComplete = false
    }

    /// Appends a row of the current result.
    func appendRow(_ bytes: UnsafeRawBufferPointer, _ columns: ColumnDescription) throws {
        if rowValues.isEmpty {
            // Statements of a batch often return one row each.
            rowValues.reserveCapacity(columns.types.count * min(1 + further.count, Self.maximumReservedRows))
        }
        try RowReader.append(bytes, columns, requested: requested, to: &rowValues)
        rowCount += 1
    }

    /// Called with the error of the server.
    func end(_ error: PostgresError) {
        let problem = problem ?? Problem()
        problem.error = error
        self.problem = problem
        copy = .ended
    }

    /// The error of the server.
    var error: PostgresError? { problem?.error }

    var hasError: Bool { problem != nil && error != nil }

    func fail(_ failure: AppError) {
        let problem = problem ?? Problem()
        problem.failure = failure
        self.problem = problem
        dropRows()
    }

    /// Why the request has failed: because of the error of the server, or of a value that could not be read. The statement
    /// has been executed nevertheless then.
    var failure: AppError? { problem?.failure }

    var hasFailed: Bool { problem != nil && failure != nil }

    func dropRows() {
        rows = []
        (rowCount, rowValues) = (0, [])
    }

    /// Whether an execution is complete, but not all are.
    var isBetweenExecutions: Bool { !executionEnds.isEmpty && !hasBound }

    /// Called when an execution is complete.
    func endExecution() {
        guard executionEnds.count < further.count else {
            isComplete = true
            return
        }
        executionEnds.append(rowCount)
        hasBound = false
    }

    private func endResult() {
        guard rowCount > 0 else { return }
        let result = Row.rows(0..<rowCount, columns: columns?.names ?? [], values: rowValues)
        if rows.isEmpty { rows = result } else { rows += result }
        (rowCount, rowValues) = (0, [])
    }

    /// Returns the answer once it is complete. The rows are handed over.
    func takeAnswer() -> Result<StatementResult, AppError> {
        if let failure { return .failure(failure) }
        return .success(StatementResult(rows: takeRows(), affectedRows: affectedRows))
    }

    private func takeRows() -> [Row] {
        endResult()
        defer { rows = [] }
        return rows
    }

    /// Appends the rows of each execution to the results of a group. The rows are handed over.
    func takeResults(_ result: inout StatementResult) {
        result.affectedRows += rowCount > 0 ? rowCount : affectedRows
        let names = columns?.names ?? []
        var start = 0
        for end in executionEnds {
            result.group.append(Row.rows(start..<end, columns: names, values: rowValues))
            start = end
        }
        result.group.append(Row.rows(start..<rowCount, columns: names, values: rowValues))
        dropRows()
    }
}
