import ApusCore
public import ApusHTTP
import HTTPTypes
import Logging

/// Turns every error of the chain behind it into a status of gRPC, for requests that are gRPC's, and logs what the client may
/// not see. Errors of other requests pass.
public struct GRPCErrorRendering: Middleware {
    private let domain: String

    /// - Parameter domain: Who gives errors their reasons, as `google.rpc.ErrorInfo` says it: the app's name.
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
        let error = AppError(anyOf: thrown)
        guard request.context.route != nil || error.code != .notFound else {
            let error = AppError(.unimplemented, "There is no method \(request.path.prefix(256)) here.")
            return GRPCStatus(error, domain: domain, requestID: request.context.id)
        }
        error.log(request)
        return GRPCStatus(thrown, domain: domain, requestID: request.context.id)
    }
}

extension AppError.Reason {
    /// What came is not a call as gRPC has them.
    static let malformedCall: AppError.Reason = "MALFORMED_CALL"
}

extension AppError {
    /// What the client may not see goes to the log. What is the client's own doing does not, though gRPC calls it internal: nor
    /// that its own deadline has passed.
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
