/// One of the 17 canonical status codes, which all protocols of Apus share.
///
/// Numbers and meanings are those of gRPC (`google.rpc.Code`). HTTP statuses, WebSocket close codes and job outcomes
/// are derived from them and never the reverse, because HTTP statuses do not distinguish all codes, such as
/// ``alreadyExists`` and ``aborted``.
public enum StatusCode: Int, Sendable, CaseIterable {
    /// Success. Never carried by an ``AppError``.
    case ok = 0
    /// The caller cancelled the operation, usually by closing its connection.
    case cancelled = 1
    /// An error that no other code describes.
    case unknown = 2
    /// The input is invalid regardless of the state of the system.
    case invalidArgument = 3
    /// The deadline passed before the operation completed.
    case deadlineExceeded = 4
    /// The requested entity does not exist, or the caller may not know that it exists.
    case notFound = 5
    /// The entity to create already exists.
    case alreadyExists = 6
    /// The caller is authenticated but not permitted to perform the operation.
    case permissionDenied = 7
    /// A quota or a limit is exhausted.
    case resourceExhausted = 8
    /// The state of the system does not allow the operation; retrying does not help until that state changes.
    case failedPrecondition = 9
    /// The operation conflicted with a concurrent change. Retrying the entire sequence of operations may succeed.
    case aborted = 10
    /// A position is past the valid range.
    case outOfRange = 11
    /// The service does not implement the operation.
    case unimplemented = 12
    /// An invariant of the service is violated.
    case `internal` = 13
    /// The service is temporarily unavailable. Retrying with backoff may succeed.
    case unavailable = 14
    /// Data is lost or corrupted.
    case dataLoss = 15
    /// The caller is not authenticated: credentials are missing or invalid.
    case unauthenticated = 16

    /// The name of the code in gRPC, such as `INVALID_ARGUMENT`.
    public var name: String {
        switch self {
        case .ok: "OK"
        case .cancelled: "CANCELLED"
        case .unknown: "UNKNOWN"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .deadlineExceeded: "DEADLINE_EXCEEDED"
        case .notFound: "NOT_FOUND"
        case .alreadyExists: "ALREADY_EXISTS"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .aborted: "ABORTED"
        case .outOfRange: "OUT_OF_RANGE"
        case .unimplemented: "UNIMPLEMENTED"
        case .internal: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .dataLoss: "DATA_LOSS"
        case .unauthenticated: "UNAUTHENTICATED"
        }
    }

    /// Whether the same call may succeed when it is retried.
    public var isTransient: Bool {
        switch self {
        case .cancelled, .unknown, .deadlineExceeded, .resourceExhausted, .aborted, .internal, .unavailable:
            true
        case .ok, .invalidArgument, .notFound, .alreadyExists, .permissionDenied, .failedPrecondition, .outOfRange,
            .unimplemented, .dataLoss, .unauthenticated:
            false
        }
    }
}
