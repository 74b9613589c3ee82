import ApusCore
import HTTPTypes
import Logging

/// Turns every error of the chain behind it into `application/problem+json` (RFC 9457), or into a page or plain text for a
/// client that likes those better, and logs what the client may not see.
public struct ErrorRendering: Middleware {
    private let typePrefix: String?

    /// - Parameter typePrefix: What `type` begins with for errors that have a reason, such as `https://example.org/problems/`
    ///   for `https://example.org/problems/validation-failed`. Without it `type` is `about:blank`.
    public init(typePrefix: String? = nil) { self.typePrefix = typePrefix }

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
            var problem = ProblemDetails(error, requestID: request.context.id)
            problem.instance = String(request.path.prefix(256))
            if let typePrefix, let reason = problem.reason {
                problem.type = typePrefix + reason.lowercased().replacing("_", with: "-")
            }
            return Response(
                error, problem,
                as: request.preferredType(of: "application/problem+json", "application/json", "text/html", "text/plain")
            )
        }
    }
}
