import ApusCore
import HTTPTypes
import Logging

/// Turns every error of the chain behind it into `application/problem+json`, and logs what the client may not see.
public struct ErrorRendering: Middleware {
    public init() {}

    public func handle(_ request: Request, next: Handler) async throws -> Response {
        do {
            return try await next(request)
        } catch {
            let error = AppError(wrapping: error)
            if error.httpStatus.kind == .serverError {
                request.context.logger.error(
                    "The request failed.",
                    metadata: ["error": .string(error.debugDescription), "route": .string(request.context.route ?? "")])
            }
            return Response(problem: error, requestID: request.context.id)
        }
    }
}
