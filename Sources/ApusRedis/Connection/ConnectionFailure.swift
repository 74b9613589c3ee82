public import ApusCore

/// Why a connection could not be opened, or ended.
enum ConnectionFailure: Error {
    /// The server closed the connection, or the network failed.
    case lost((any Error)?)
    /// The connection could not be opened.
    case unreachable(any Error)
    /// The server sent bytes that are not the Redis protocol, or a reply that nothing asked for.
    case violation(String)
    /// The server has not answered for too long.
    case stalled
    /// The server refused a command of the handshake.
    case refused(RedisError)
    /// The server is not a primary any more.
    case notPrimary
    /// The server refuses commands, because it has become a replica or loads its data.
    case refusing
    /// The client has been closed.
    case clientClosed
    /// The connection was closed on purpose, for example because a blocking command was cancelled.
    case abandoned
}

extension ConnectionFailure: CustomStringConvertible {
    /// A description for the log.
    var description: String {
        switch self {
        case .lost(let error?): "the connection was lost: \(error)"
        case .lost(nil): "the server closed the connection"
        case .unreachable(let error): "the server cannot be reached: \(error)"
        case .violation(let text): "the server violated the protocol: \(text)"
        case .stalled: "the server does not answer"
        case .refused(let error): "the server refused the connection: \(error)"
        case .refusing: "the server refuses commands because it is a replica or loads its data"
        case .notPrimary: "the server is not the primary"
        case .clientClosed: "the client is closed"
        case .abandoned: "the connection was closed by this client"
        }
    }
}

extension ConnectionFailure {
    /// The error for a command that was not sent.
    var errorBeforeSending: AppError {
        AppError(.unavailable, "Redis is not available.", reason: .redisUnavailable, cause: self)
    }

    /// The error for a command that was sent and not answered, so that it may or may not have run.
    var errorAfterSending: AppError {
        AppError(
            .unavailable, "The connection to Redis ended before the reply. The command may have run.",
            reason: .redisConnectionLost, cause: self)
    }
}

extension AppError.Reason {
    /// Redis could not be reached. The command was not sent.
    public static let redisUnavailable: AppError.Reason = "REDIS_UNAVAILABLE"
    /// The connection to Redis ended after the command was sent and before its reply. The command may have run.
    public static let redisConnectionLost: AppError.Reason = "REDIS_CONNECTION_LOST"
}
