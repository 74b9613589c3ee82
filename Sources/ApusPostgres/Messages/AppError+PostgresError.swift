import ApusCore

extension AppError {
    /// Creates the error that callers see for an error of the server. The SQLSTATE and the text are only logged.
    init(postgres error: PostgresError) {
        let (code, message) = Self.description(of: error, error.sqlState)
        self.init(code, message, cause: error)
    }

    private static func description(of error: PostgresError, _ sqlState: String) -> (StatusCode, String) {
        switch sqlState {
        case "25006" where error.isInReadOnlyTransaction: (.failedPrecondition, "The transaction is read-only.")
        // `statement_timeout` has the same SQLSTATE as a cancel request. In another language, it cannot be told apart.
        case "57014" where error.message.contains(bytesOf: "statement timeout"):
            (.deadlineExceeded, "The statement took longer than the database allows.")
        case "23505": (.alreadyExists, "An entry with the same key already exists.")
        // P0001 is what triggers and functions raise.
        case _ where sqlState.starts(withBytesOf: "23") || sqlState == "P0001":
            (.failedPrecondition, "The change violates a constraint of the database.")
        case "40003": (.unknown, "It is unknown whether the change was made.")
        case _ where sqlState.starts(withBytesOf: "40"):
            (.aborted, "The transaction conflicted with a concurrent one.")
        case "25P02": (.aborted, "An earlier statement of the transaction failed.")
        case "55P03": (.aborted, "The rows are locked by another transaction.")
        case "57014": (.cancelled, "The statement was cancelled.")
        case "25P03", "25P04": (.aborted, "The transaction was rolled back because it was idle or open for too long.")
        // The connection leads to a standby: the server is no longer the primary.
        case "25006": (.unavailable, "The database does not accept changes at the moment.")
        case _ where isUnavailable(sqlState): (.unavailable, "The database is temporarily unavailable.")
        case _ where sqlState.starts(withBytesOf: "22"): (.invalidArgument, "A value is not valid for the database.")
        // XX000 is any unforeseen error, such as that of two sessions that change the same function.
        case "XX001", "XX002": (.dataLoss, "The database is damaged.")
        default: (.internal, "A statement failed.")
        }
    }

    /// Whether an SQLSTATE is one of: connection exception (08), insufficient resources (53), operator intervention
    /// (57P0x) and system error (58).
    private static func isUnavailable(_ sqlState: String) -> Bool {
        ["08", "53", "57P0", "58"].contains { sqlState.starts(withBytesOf: $0) }
    }
}
