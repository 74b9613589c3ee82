import ApusCore
public import ApusHTTP
import HTTPTypes
import Logging

/// Converts errors thrown by the rest of the chain to gRPC statuses, and logs the details that the client must not see.
///
/// Errors of requests that are not gRPC calls are rethrown.
public struct GRPCErrorRendering: Middleware {
    private let domain: String

    /// - Parameter domain: The `domain` of `google.rpc.ErrorInfo`, which scopes error reasons: the app's name.
    public init(domain: String) { self.domain = domain }

    public func handle(_ request: Request, next: Next) async -> Response {
        let response = await next(request)
        guard let failure = response.unrenderedFailure, let type = request.headers[.contentType],
            let format = WireFormat(contentType: type)
        else { return response }
        var answer = format.response(status(failure, request))
        // What middleware has added since; the error's own fields are HTTP's.
        let own = Response(error: failure.thrown).headers
        for field in response.headers where !own.contains(field.name) && !answer.headers.contains(field.name) {
            answer.headers.append(field)
        }
        return answer
    }

    private func status(_ failure: Failure, _ request: Request) -> GRPCStatus {
        // Whether a cancellation is a deadline that has passed is known where it was caught.
        let thrown = failure.thrown is CancellationError ? failure.error : failure.thrown
        let error = AppError(converting: thrown)
        guard request.context.route != nil || error.code != .notFound else {
            let error = AppError(.unimplemented, "Unknown method: \(request.path.prefix(256)).")
            return GRPCStatus(error, domain: domain, requestID: request.context.id)
        }
        error.log(request)
        return GRPCStatus(thrown, domain: domain, requestID: request.context.id)
    }
}

extension AppError.Reason {
    /// The reason of errors for requests that violate the gRPC protocol.
    static let malformedCall: AppError.Reason = "MALFORMED_CALL"
}

extension AppError {
    /// Logs a server error, whose details the client must not see.
    ///
    /// Errors that the client caused are not logged, even if their gRPC code is `internal`; neither is the expiry of a
    /// deadline that the client set.
    func log(_ request: Request) {
        guard httpStatus.kind == .serverError, details.reason != .malformedCall, details.reason != .unknownEncoding,
            code != .deadlineExceeded || !request.headers.contains(.grpcTimeout)
        else {
            return
        }
        request.context.logger.error(
            "The call failed.",
            metadata: ["error": .string(debugDescription), "route": .string(request.context.route ?? "")])
    }
}
