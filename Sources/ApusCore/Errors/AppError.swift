import ServiceContextModule

/// The one error type at the edges of a service.
///
/// An `AppError` says what a caller may know: a ``code``, a ``message`` and ``details``. What a caller may not see, such as
/// the SQL that failed, travels as the cause, which goes to the log and never to a client.
///
/// ```swift
/// throw AppError(.notFound, "No order has the id \(id).")
/// throw AppError(.aborted, "Another driver took this order.", reason: "ORDER_TAKEN")
/// ```
public struct AppError: Error, Sendable {
    /// The canonical code, which decides the HTTP status, the gRPC status, the WebSocket close code and a job's fate.
    public let code: StatusCode
    /// A sentence for the caller. Safe to show.
    public let message: String
    /// What a program can act on.
    public var details: Details
    /// What went wrong underneath. Logged, never sent.
    package let cause: (any Error)?

    /// - Parameters:
    ///   - code: ``StatusCode/ok`` is not an error and becomes ``StatusCode/unknown``.
    ///   - message: What was wrong, where, and what would be right.
    ///   - reason: A stable identifier that programs compare, such as ``Reason/validationFailed``.
    ///   - retryAfter: How long the caller should wait before trying again.
    ///   - cause: The error underneath, for the log alone.
    public init(
        _ code: StatusCode,
        _ message: String,
        reason: Reason? = nil,
        retryAfter: Duration? = nil,
        cause: (any Error)? = nil
    ) {
        self.code = code == .ok ? .unknown : code
        self.message = message
        self.details = Details(reason: reason, retryAfter: retryAfter)
        self.cause = cause
    }

    /// Input that was understood and breaks rules: every failure at once.
    public init(failures: [ValidationFailure]) {
        let count = failures.count == 1 ? "1 field is" : "\(failures.count) fields are"
        self.init(.invalidArgument, "\(count) not valid.", reason: .validationFailed)
        details.failures = failures
    }
}

extension AppError {
    /// What a program can act on.
    public struct Details: Sendable {
        /// Compared by programs, stable across versions.
        public var reason: Reason?
        /// One entry for each field that breaks a rule.
        public var failures: [ValidationFailure] = []
        /// How long to wait before trying again.
        public var retryAfter: Duration?
        /// Further facts, safe to show.
        public var metadata: [String: String] = [:]
    }

    /// A stable, upper-case identifier of one cause of an error, such as `ORDER_TAKEN`.
    public struct Reason: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
        /// The identifier as it is sent.
        public let description: String

        /// - Parameter value: Upper-case letters, digits and underscores.
        public init(stringLiteral value: String) { description = value }

        /// Fields were understood and break rules.
        public static let validationFailed: Reason = "VALIDATION_FAILED"
        /// A body is larger than its limit.
        public static let bodyTooLarge: Reason = "BODY_TOO_LARGE"
        /// A body is of a kind that the endpoint does not read.
        public static let unsupportedMediaType: Reason = "UNSUPPORTED_MEDIA_TYPE"
        /// The path exists and not with this method.
        public static let methodNotAllowed: Reason = "METHOD_NOT_ALLOWED"
        /// The client was too slow in sending its request.
        public static let requestTimeout: Reason = "REQUEST_TIMEOUT"
        /// An idempotency key came back with another request.
        public static let idempotencyKeyReused: Reason = "IDEMPOTENCY_KEY_REUSED"
        /// What the request says of the present state (`If-Match` …) does not hold.
        public static let preconditionFailed: Reason = "PRECONDITION_FAILED"
        /// A browser sent it for a page of another origin.
        public static let crossOrigin: Reason = "CROSS_ORIGIN"
        /// An idempotency key came back while its request is still being done.
        public static let idempotencyKeyInUse: Reason = "IDEMPOTENCY_KEY_IN_USE"
        /// The request of an idempotency key was cut off after it had changed something; its response is lost.
        public static let idempotencyKeyInterrupted: Reason = "IDEMPOTENCY_KEY_INTERRUPTED"
        /// What would be called fails too often to be asked now.
        public static let circuitOpen: Reason = "CIRCUIT_OPEN"
        /// The token's time is over.
        public static let tokenExpired: Reason = "TOKEN_EXPIRED"
        /// The endpoint speaks another protocol, such as WebSocket.
        public static let upgradeRequired: Reason = "UPGRADE_REQUIRED"
    }

    /// Any error as an `AppError`: itself if it is one or says which it is (``AppErrorConvertible``), a cancellation as
    /// ``StatusCode/cancelled``, or past the deadline as ``StatusCode/deadlineExceeded``, and all else as an
    /// ``StatusCode/internal`` error that shows nothing of what is inside.
    public init(wrapping error: any Error) {
        switch error {
        case let error as AppError: self = error
        case let error as any AppErrorConvertible: self = error.appError
        case is CancellationError where ServiceContext.current?.deadline?.hasPassed == true: self = Deadline.exceeded
        case is CancellationError: self.init(.cancelled, "The request was cancelled.", cause: error)
        default: self.init(.internal, "Something went wrong on our side.", cause: error)
        }
    }
}

extension AppError: CustomStringConvertible, CustomDebugStringConvertible {
    /// The code and the message: safe to show.
    public var description: String { "\(code.name): \(message)" }

    /// With the cause: for logs.
    public var debugDescription: String {
        guard let cause else { return description }
        return "\(description) (cause: \(String(reflecting: cause)))"
    }
}

/// An error that says which `AppError` it is to clients, such as one of a domain:
///
/// ```swift
/// extension Dispatching.Refusal: AppErrorConvertible {
///     var appError: AppError { AppError(.aborted, "Another driver took this order.", reason: "ORDER_TAKEN", cause: self) }
/// }
/// ```
public protocol AppErrorConvertible: Error {
    /// What clients may know of it.
    var appError: AppError { get }
}
