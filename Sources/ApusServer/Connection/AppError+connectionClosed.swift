import ApusCore

extension AppError {
    /// The error of a write to a connection, or to a stream of one, that is closed.
    static var connectionClosed: AppError { AppError(.cancelled, "The connection is closed.") }
}
