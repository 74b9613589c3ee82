public import ApusCore
public import ApusHTTP
import ApusJSON
import HTTPTypes

/// A principal that a token stands for.
public protocol TokenPrincipal: Principal {
    /// - Throws: An `AppError` of code `permissionDenied` when the token is of another kind of principal.
    init(claims: JWT.Claims) throws
}

/// Demands that the request be made by a principal of a kind, and hands it to the handler.
///
/// Without a valid token the client receives 401, with one of another kind of principal 403.
public struct Authenticated<P: TokenPrincipal>: RequestInput {
    public init(_ type: P.Type = P.self) {}

    public func extract(from request: Request) throws -> P {
        guard let token = request.context[VerifiedToken.self] else {
            throw AppError(.unauthenticated, "This needs a bearer token in the Authorization field.")
        }
        let principal = try P(claims: token.get())
        request.context.principal = principal
        return principal
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        operation.security = [
            .init("bearer", ["type": "http", "scheme": "bearer", "bearerFormat": "JWT"])
        ]
        operation.mayFail(.unauthorized, "There is no valid bearer token.")
        operation.mayFail(.forbidden, "The token is of another kind of principal.")
    }
}
