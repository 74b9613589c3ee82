import ApusCore

/// A mistake in how a program uses transactions, which would make changes outside of the transaction that they belong to.
enum TransactionMisuse: Error, CustomStringConvertible {
    /// A statement on another database, which is not part of the transaction.
    case otherDatabase(String, inside: String)
    /// A task that was started in the transaction has outlived it.
    case ended(String)
    /// A task that the closure of a change has started.
    case insideChange(String)
    /// A task of the transaction runs something beside a savepoint of another task.
    case besideSavepoint(String)
    /// A task of the transaction begins a savepoint while another one runs a statement.
    case savepointBesideStatement(String)
    /// The closure has returned while a task that it has started still uses the transaction.
    case unfinished(String)

    var description: String {
        switch self {
        case .otherDatabase(let other, let database):
            """
            A statement on the database \(other) inside a transaction of the database \(database) is not part of it, and \
            is not undone with it. Move it out of the transaction, or run it in UnitOfWork.allowingOtherDatabases { … }.
            """
        case .ended(let database):
            """
            The transaction of the database \(database) in which this task was started has ended, so the statement \
            would not be part of it. Await the tasks that a transaction starts inside of it, or let them run their \
            statements in UnitOfWork.withoutTransaction { … }.
            """
        case .insideChange(let database):
            """
            A task that was started in the closure of a change of the database \(database) cannot use its transaction. \
            Run its statements in UnitOfWork.withoutTransaction { … }.
            """
        case .besideSavepoint(let database):
            """
            Another task is in a savepoint of the transaction of the database \(database), and could undo the statement \
            with it. Await it first.
            """
        case .savepointBesideStatement(let database):
            """
            Another task runs a statement in the transaction of the database \(database), and the savepoint could undo \
            it. Await it before you begin the savepoint.
            """
        case .unfinished(let database):
            """
            A task that was started in the transaction of the database \(database) still runs a statement of it, so the \
            transaction was not committed. Await the tasks that a transaction starts inside of it.
            """
        }
    }

    /// The error for the caller. The names of databases are for the log only.
    var appError: AppError {
        AppError(.internal, "A transaction was used in a way that could lose changes.", cause: self)
    }
}
