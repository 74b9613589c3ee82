import ApusCore
import ApusData
import NIOCore

/// The result of a statement.
struct StatementResult: Sendable {
    var rows: [Row] = []
    /// The number of rows that the statement inserted, updated or deleted, or copied.
    var affectedRows = 0
    /// How long the server has worked on it, with the way there and back.
    var duration = TimeAmount.zero
    /// The results of the statements of a group.
    var group: [StatementResult] = []
}

/// The state of a session's transaction.
enum TransactionStatus: UInt8, Sendable {
    case idle = 0x49  // I
    case open = 0x54  // T
    /// A statement has failed: only the transaction's end is accepted.
    case failed = 0x45  // E
}

/// A request that was written. The server answers in the order in which requests were written.
struct Slot<Token> {
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

    let kind: Kind
    /// Who waits for the answer; `nil` if nobody does.
    var token: Token?
    let values: [SQLValue]
    /// Whether the statement is prepared in this request.
    let parses: Bool
    /// The columns whose formats were requested; `nil` if all were requested in text format.
    let requested: ColumnDescription?
    /// Whether the server answers with ReadyForQuery after this request. Requests before it share its fate.
    var endsGroup = true
    /// Whether the request is a transaction of its own, which is committed when it succeeds.
    var commitsAlone = false
    /// The names of the prepared statements that this request closes.
    var closed: [String] = []
    /// Whether the request was written again after a failure.
    var isRetry = false
    /// Whether the task that has asked is gone. The answer is read and dropped.
    var isAbandoned = false
    /// The number of bytes written.
    var bytes = 0

    var isCopy: Bool {
        switch kind {
        case .copyIn, .copyOut: true
        case .statement, .simple, .commit: false
        }
    }
}

/// What has been answered of a request.
struct Progress<Token> {
    enum Copy {
        case none
        case sending
        case receiving
        case ended
    }

    var slot: Slot<Token>
    var result = StatementResult()
    var columns: ColumnDescription?
    var parameterOIDs: [UInt32] = []
    var hasParsed = false
    var hasBound = false
    var isComplete = false
    var isRollback = false
    var copy = Copy.none
    /// The error of the server.
    var error: PostgresError?
    /// A value that could not be read. The statement has been executed nevertheless.
    var decodingError: AppError?

    init(_ slot: Slot<Token>) {
        self.slot = slot
        // A statement that was prepared before does not describe its columns again.
        if case .statement(let prepared) = slot.kind { columns = prepared.description?.columns }
    }

    /// The answer of a request that the server has executed.
    var answer: Result<StatementResult, AppError> { decodingError.map { .failure($0) } ?? .success(result) }
}
