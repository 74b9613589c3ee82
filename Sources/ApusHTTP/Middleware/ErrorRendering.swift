import ApusCore
import HTTPTypes
import Logging

/// Adds a body to error responses of the chain inside it: `application/problem+json` (RFC 9457), or HTML or plain text
/// for clients that prefer these. Logs the details of server errors, which clients may not see.
public struct ErrorRendering: Middleware {
    private let typePrefix: String?

    /// Creates the middleware.
    /// - Parameter typePrefix: The prefix of `type` for errors that have a reason, such as
    ///   `https://example.org/problems/` for `https://example.org/problems/validation-failed`. If `nil`, `type` is
    ///   `about:blank`.
    public init(typePrefix: String? = nil) { self.typePrefix = typePrefix }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        let response = await next(request)
        guard let failure = response.unrenderedFailure else { return response }
        if response.status.kind == .serverError {
            request.context.logger.error(
                "The request failed.",
                metadata: [
                    "error": .string(failure.error.debugDescription), "route": .string(request.context.route ?? ""),
                ])
        }
        var problem = ProblemDetails(failure.error, requestID: request.context.id)
        problem.instance = PercentEncoding.encode(path: String(request.path.prefix(256)), query: nil)
        if let typePrefix, let reason = problem.reason {
            problem.type = typePrefix + reason.lowercased().replacing("_", with: "-")
        }
        var rendered = response.rendering(
            failure, problem,
            as: request.preferredType(of: "application/problem+json", "application/json", "text/html", "text/plain"))
        rendered.addVary("Accept")
        return rendered
    }
}
