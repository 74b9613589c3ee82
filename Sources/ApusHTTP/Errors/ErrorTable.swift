public import ApusCore
public import HTTPTypes

/// The mapping from errors to the codes of each protocol.
extension AppError {
    /// The HTTP status of this error. It is determined by the reason if HTTP is more specific than the canonical codes,
    /// and by the code otherwise.
    public var httpStatus: HTTPResponse.Status {
        switch details.reason {
        case .validationFailed?, .idempotencyKeyReused?: .unprocessableContent
        case .bodyTooLarge?: .contentTooLarge
        case .unsupportedMediaType?: .unsupportedMediaType
        case .methodNotAllowed?: .methodNotAllowed
        case .preconditionFailed?: .preconditionFailed
        case .requestTimeout?: .requestTimeout
        case .upgradeRequired?: .init(code: 426, reasonPhrase: "Upgrade Required")
        default: code.httpStatus
        }
    }
}

extension AppError {
    /// The gRPC status of this error. Reasons that are specific to HTTP are mapped to the corresponding gRPC status.
    package var grpcCode: StatusCode {
        switch details.reason {
        case .bodyTooLarge?: .resourceExhausted
        case .unsupportedMediaType?, .methodNotAllowed?, .upgradeRequired?: .unimplemented
        default: code
        }
    }
}

extension StatusCode {
    /// The HTTP status that corresponds to the code.
    public var httpStatus: HTTPResponse.Status {
        switch self {
        case .ok: .ok
        case .cancelled: .init(code: 499, reasonPhrase: "Client Closed Request")
        case .unknown, .internal, .dataLoss: .internalServerError
        case .invalidArgument, .outOfRange: .badRequest
        case .deadlineExceeded: .gatewayTimeout
        case .notFound: .notFound
        case .alreadyExists, .aborted: .conflict
        case .permissionDenied: .forbidden
        case .resourceExhausted: .tooManyRequests
        case .failedPrecondition: .conflict
        case .unimplemented: .notImplemented
        case .unavailable: .serviceUnavailable
        case .unauthenticated: .unauthorized
        }
    }

    /// The WebSocket close code that corresponds to the code (RFC 6455 §7.4.1, and 1013 from the IANA registry).
    public var webSocketCloseCode: UInt16 {
        switch self {
        case .ok: 1000
        case .invalidArgument, .outOfRange: 1007
        case .permissionDenied, .unauthenticated, .notFound, .alreadyExists, .failedPrecondition, .unimplemented: 1008
        case .resourceExhausted, .unavailable, .aborted, .deadlineExceeded, .cancelled: 1013
        case .unknown, .internal, .dataLoss: 1011
        }
    }
}
