public import ApusCore

/// An error reply of the server, such as `WRONGTYPE Operation against a key holding the wrong kind of value`.
public struct RedisError: Error, Sendable, Hashable {
    /// The first word, in upper case by convention, such as `WRONGTYPE`.
    public let code: String
    /// The text after the code.
    public let message: String

    /// Creates an error.
    public init(code: String, message: String) {
        self.code = code
        self.message = message
    }

    /// Splits the text of an error reply.
    init(reply: String) {
        if let (code, message) = reply.cut(at: " ") {
            self.init(code: String(code), message: String(message))
        } else {
            self.init(code: reply, message: "")
        }
    }
}

extension RedisError: CustomStringConvertible {
    public var description: String { message.isEmpty ? code : "\(code) \(message)" }
}

extension RedisError: AppErrorConvertible {
    /// The error for clients. The text of the reply, which may contain keys and values, is only the cause.
    public var appError: AppError {
        switch code {
        case "LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "READONLY", "MOVED", "ASK", "BUSY", "NOREPLICAS":
            AppError(.unavailable, "Redis cannot run the command at the moment.", cause: self)
        case "OOM":
            AppError(.resourceExhausted, "Redis is out of memory.", cause: self)
        case "EXECABORT":
            AppError(
                .internal, "Redis did not run the transaction because one of its commands is invalid.", cause: self)
        case "NOAUTH", "WRONGPASS", "NOPERM":
            AppError(.internal, "Redis does not permit the command to the user of this service.", cause: self)
        case "WRONGTYPE":
            AppError(.failedPrecondition, "A Redis key holds another type of value than expected.", cause: self)
        default:
            AppError(.internal, "Redis could not run the command.", cause: self)
        }
    }
}
