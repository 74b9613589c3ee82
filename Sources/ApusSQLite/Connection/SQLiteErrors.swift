import ApusCore
import ApusData
import GRDB

extension AppError {
    /// Creates an error that hides the details of the SQLite error from callers; the statement is only logged.
    init(sqlite error: DatabaseError) {
        switch error.extendedResultCode {
        case .SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_PRIMARYKEY:
            self.init(.alreadyExists, "An entry with the same key already exists.", cause: error)
        case .SQLITE_CONSTRAINT_FOREIGNKEY, .SQLITE_CONSTRAINT_CHECK, .SQLITE_CONSTRAINT_NOTNULL,
            .SQLITE_CONSTRAINT_TRIGGER:
            self.init(.failedPrecondition, "The change violates a constraint of the database.", cause: error)
        default:
            switch error.resultCode {
            case .SQLITE_INTERRUPT: self.init(.cancelled, "The statement was cancelled.", cause: error)
            case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_PROTOCOL, .SQLITE_FULL, .SQLITE_IOERR, .SQLITE_CANTOPEN,
                .SQLITE_NOMEM:
                self.init(.unavailable, "The database is temporarily unavailable.", cause: error)
            case .SQLITE_READONLY:
                self.init(.failedPrecondition, "The transaction is read-only.", cause: error)
            case .SQLITE_TOOBIG: self.init(.invalidArgument, "A value is too long for the database.", cause: error)
            case .SQLITE_CORRUPT, .SQLITE_NOTADB:
                self.init(.dataLoss, "The database is corrupt.", cause: error)
            default:
                self.init(.internal, "A statement failed.", cause: error)
            }
        }
    }
}

extension DatabaseError: TransactionConflict {
    package var isTransactionConflict: Bool { resultCode == .SQLITE_BUSY || resultCode == .SQLITE_LOCKED }
}
