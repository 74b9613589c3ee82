import ServiceContextModule

/// An error that is reported to clients, in the same form by all protocols.
///
/// An `AppError` contains what a client may see: a ``code``, a ``message`` and ``details``. Anything else, such as the
/// SQL statement that failed, belongs in the cause, which is logged and never sent to a client.
///
/// ```swift
/// throw AppError(.notFound, "There is no order with the ID \(id).")
/// throw AppError(.aborted, "Another driver has taken this order.", reason: "ORDER_TAKEN")
/// ```
public struct AppError: Error, Sendable {
    /// The canonical code, which determines the HTTP status, the gRPC status, the WebSocket close code and the outcome
    /// of a job.
    public let code: StatusCode
    /// A sentence that is shown to the client.
    public let message: String
    /// Machine-readable details.
    public var details: Details
    /// The underlying error. Logged, never sent.
    package let cause: (any Error)?

    /// Creates an error.
    /// - Parameters:
    ///   - code: The canonical code. ``StatusCode/ok`` is not an error and becomes ``StatusCode/unknown``.
    ///   - message: What was wrong, where, and what would be right.
    ///   - reason: A stable identifier for programs, such as ``Reason/validationFailed``.
    ///   - retryAfter: The time to wait before retrying.
    ///   - cause: The underlying error, which is only logged.
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

    /// Creates the error for well-formed input that breaks validation rules.
    /// - Parameter failures: All failures of the input.
    public init(failures: [ValidationFailure]) {
        let count = failures.count == 1 ? "1 field is" : "\(failures.count) fields are"
        self.init(.invalidArgument, "\(count) not valid.", reason: .validationFailed)
        details.failures = failures
    }
}

extension AppError {
    /// Machine-readable details of an error.
    public struct Details: Sendable {
        /// The reason, stable across versions.
        public var reason: Reason?
        /// The validation failures.
        public var failures: [ValidationFailure] = []
        /// The time to wait before retrying.
        public var retryAfter: Duration?
        /// Additional information that is shown to the client.
        public var metadata: [String: String] = [:]
    }

    /// A stable, upper-case identifier of the reason for an error, such as `ORDER_TAKEN`.
    public struct Reason: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
        /// The identifier as it is sent.
        public let description: String

        /// Creates a reason.
        /// - Parameter value: Upper-case letters, digits and underscores.
        public init(stringLiteral value: String) { description = value }

        /// The input is well-formed but breaks validation rules.
        public static let validationFailed: Reason = "VALIDATION_FAILED"
        /// The body exceeds its size limit.
        public static let bodyTooLarge: Reason = "BODY_TOO_LARGE"
        /// The endpoint does not accept the media type of the body.
        public static let unsupportedMediaType: Reason = "UNSUPPORTED_MEDIA_TYPE"
        /// The path exists, but not with this method.
        public static let methodNotAllowed: Reason = "METHOD_NOT_ALLOWED"
        /// The client took too long to send its request.
        public static let requestTimeout: Reason = "REQUEST_TIMEOUT"
        /// The idempotency key was already used for a different request.
        public static let idempotencyKeyReused: Reason = "IDEMPOTENCY_KEY_REUSED"
        /// A precondition of the request, such as `If-Match`, is false.
        public static let preconditionFailed: Reason = "PRECONDITION_FAILED"
        /// A browser sent the request on behalf of a page of another origin.
        public static let crossOrigin: Reason = "CROSS_ORIGIN"
        /// An earlier request with the same idempotency key is still being processed.
        public static let idempotencyKeyInUse: Reason = "IDEMPOTENCY_KEY_IN_USE"
        /// The request with this idempotency key was interrupted after it had made changes; its response is lost.
        public static let idempotencyKeyInterrupted: Reason = "IDEMPOTENCY_KEY_INTERRUPTED"
        /// The circuit breaker is open because the called service fails too often.
        public static let circuitOpen: Reason = "CIRCUIT_OPEN"
        /// The token has expired.
        public static let tokenExpired: Reason = "TOKEN_EXPIRED"
        /// The endpoint requires another protocol, such as WebSocket.
        public static let upgradeRequired: Reason = "UPGRADE_REQUIRED"
    }

    /// Converts any error to an `AppError`.
    ///
    /// An `AppError` is used as it is, an ``AppErrorConvertible`` is converted. A cancellation becomes
    /// ``StatusCode/deadlineExceeded`` if the deadline has passed, ``StatusCode/cancelled`` otherwise. All other errors
    /// become ``StatusCode/internal`` with a generic message that reveals no internals.
    public init(wrapping error: any Error) {
        switch error {
        case let error as AppError: self = error
        case let error as any AppErrorConvertible: self = error.appError
        case is CancellationError where ServiceContext.current?.deadline?.hasPassed == true: self = Deadline.exceeded
        case is CancellationError: self.init(.cancelled, "The request was cancelled.", cause: error)
        default: self.init(.internal, "An internal error occurred.", cause: error)
        }
    }
}

extension AppError: CustomStringConvertible, CustomDebugStringConvertible {
    /// The code and the message, without the cause.
    public var description: String { "\(code.name): \(message)" }

    /// The description with the cause, for logs.
    public var debugDescription: String {
        guard let cause else { return description }
        return "\(description) (cause: \(String(reflecting: cause)))"
    }
}

/// An error that can be converted to an `AppError`, such as a domain error:
///
/// ```swift
/// extension OrderTakenError: AppErrorConvertible {
///     var appError: AppError {
///         AppError(.aborted, "Another driver has taken this order.", reason: "ORDER_TAKEN", cause: self)
///     }
/// }
/// ```
public protocol AppErrorConvertible: Error {
    /// The error that is reported to clients.
    var appError: AppError { get }
}
