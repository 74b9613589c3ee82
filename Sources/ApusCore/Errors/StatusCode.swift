/// The 17 canonical status codes that every protocol of Apus shares.
///
/// Numbers and meanings are those of gRPC (`google.rpc.Code`). HTTP statuses, WebSocket close codes and job outcomes are
/// derived from them, never the other way round, because going from HTTP would lose the difference between
/// ``alreadyExists`` and ``aborted``.
public enum StatusCode: Int, Sendable, CaseIterable {
    /// Success. Never carried by an ``AppError``.
    case ok = 0
    /// The caller gave up, usually by closing its connection.
    case cancelled = 1
    /// An error with no better description.
    case unknown = 2
    /// The input is wrong whatever the state of the system.
    case invalidArgument = 3
    /// The deadline passed before the operation completed.
    case deadlineExceeded = 4
    /// The thing asked for does not exist, or the caller may not know that it does.
    case notFound = 5
    /// The thing to create exists already.
    case alreadyExists = 6
    /// The caller is known and not allowed.
    case permissionDenied = 7
    /// A quota or a limit is used up.
    case resourceExhausted = 8
    /// The system is not in a state that allows this, and retrying will not help until that state changes.
    case failedPrecondition = 9
    /// A concurrent change won. Retrying the whole sequence may succeed.
    case aborted = 10
    /// A position past the end of something.
    case outOfRange = 11
    /// The operation exists nowhere in this service.
    case unimplemented = 12
    /// An invariant of the service is broken.
    case `internal` = 13
    /// The service cannot answer now. Retrying with back-off may succeed.
    case unavailable = 14
    /// Data is lost or corrupt.
    case dataLoss = 15
    /// The caller is not known: credentials are missing or wrong.
    case unauthenticated = 16

    /// The code's name as gRPC writes it, such as `INVALID_ARGUMENT`.
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

    /// Whether the same call may succeed later without anyone changing anything.
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
