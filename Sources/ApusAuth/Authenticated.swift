public import ApusCore
public import ApusHTTP
import ApusJSON
import HTTPTypes

/// A principal that is created from the claims of a token.
public protocol TokenPrincipal: Principal {
    /// Creates the principal of a token.
    /// - Throws: An `AppError` with code `permissionDenied` if the token belongs to another kind of principal.
    init(claims: JWT.Claims) throws
}

/// An input that requires a principal of the given type and passes it to the handler.
///
/// Requests without a valid token are answered with 401, requests of another kind of principal with 403.
public struct Authenticated<P: TokenPrincipal>: RequestInput {
    /// Creates the input.
    public init(_ type: P.Type = P.self) {}

    public func extract(from request: Request) throws -> P {
        guard let token = request.context[TokenVerification.self] else {
            throw AppError(.unauthenticated, "A bearer token in the Authorization header field is required.")
        }
        let principal = try P(claims: token.get())
        request.context.principal = principal
        return principal
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        operation.security = [
            .init("bearer", ["type": "http", "scheme": "bearer", "bearerFormat": "JWT"])
        ]
        operation.addErrorResponse(.unauthorized, "The bearer token is missing or invalid.")
        operation.addErrorResponse(.forbidden, "The token belongs to another kind of principal.")
    }
}
