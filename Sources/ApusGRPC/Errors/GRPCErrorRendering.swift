import ApusCore
public import ApusHTTP
import HTTPTypes
import Logging

/// Converts errors thrown by the rest of the chain to gRPC statuses, and logs the details that the client must not see.
/// Ends calls at the deadline that the client has set, whatever they wait for, including the rest of the chain.
///
/// Requests that are not gRPC calls are passed on as they are.
public struct GRPCErrorRendering: Middleware {
    private let domain: String

    /// - Parameter domain: The `domain` of `google.rpc.ErrorInfo`, which scopes error reasons: the app's name.
    public init(domain: String) { self.domain = domain }

    public func handle(_ request: Request, next: Next) async -> Response {
        let response = await respond(to: request, next)
        guard let failure = response.unrenderedFailure, let format = WireFormat(of: request) else { return response }
        var answer = format.answering(request).response(status(failure, request))
        // What middleware has added since; the error's own fields are HTTP's.
        let own = Response(error: failure.thrown).headers
        for field in response.headers where !own.contains(field.name) && !answer.headers.contains(field.name) {
            answer.headers.append(field)
        }
        return answer
    }

    /// Passes on a request, within the deadline of the call if it has one.
    private func respond(to request: Request, _ next: Next) async -> Response {
        // A malformed timeout is reported by the call itself.
        guard let timeout = request.headers[.grpcTimeout], WireFormat(of: request) != nil,
            let duration = try? CallHead.timeout(timeout)
        else { return await next(request) }
        let deadline = Deadline.after(duration)
        request.context[CallDeadline.self] = deadline
        do {
            // The call is awaited before this returns, so it does not escape; the compiler cannot see that.
            return try await withoutActuallyEscaping(next) { next in
                try await withDeadline(deadline) { await next(request) }
            }
        } catch {
            return Response(error: error)
        }
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

/// The deadline of a call, if ``GRPCErrorRendering`` ends the call when it passes.
enum CallDeadline: RequestContextKey {
    typealias Value = Deadline
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
