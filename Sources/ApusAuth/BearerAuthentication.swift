public import ApusCore
public import ApusHTTP
import FoundationEssentials
import HTTPTypes

/// Middleware that verifies the bearer token of a request (RFC 6750).
///
/// It rejects no requests itself, so that an expired token does not prevent access to public endpoints; an endpoint
/// requires authentication with an ``Authenticated`` input. Browsers cannot set header fields of WebSocket requests;
/// they send the token as a subprotocol `bearer.<token>` in addition to the actual one.
public struct BearerAuthentication: Middleware {
    private let verifier: any JWT.Verifier

    private let clock: any WallClock

    /// Creates the middleware.
    public init(_ verifier: any JWT.Verifier, clock: any WallClock = SystemClock()) {
        self.verifier = verifier
        self.clock = clock
    }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        if let token = Self.token(of: request) {
            do {
                let claims = try await verifier.verify(token)
                request.context[TokenVerification.self] = .success(claims)
                request.context.principal = TokenSubject(subject: claims.subject)
                let remaining = claims.expiresAt.timeIntervalSince(clock.now) + verifier.leeway.seconds
                request.context.principalExpiresIn = .seconds(min(max(0, remaining), 365 * 86400))
            } catch let error as AppError {
                request.context[TokenVerification.self] = .failure(error)
            }
        }
        return await next(request)
    }

    private static func token(of request: Request) -> String? {
        if let field = request.headers[.authorization] {
            guard let (scheme, token) = field.cut(at: " "), scheme.asciiLowercased.isExactly("bearer") else {
                return nil
            }
            return String(token.trimmed)
        }
        guard let protocols = request.headers[.secWebSocketProtocol] else { return nil }
        return protocols.split(at: ",").map(\.trimmed).first { $0.starts(withBytesOf: "bearer.") }
            .map { String(Substring($0.utf8.dropFirst("bearer.".utf8.count))) }
    }
}

/// The result of verifying the token of a request.
enum TokenVerification: RequestContextKey {
    typealias Value = Result<JWT.Claims, AppError>
}

/// A principal of which only the subject of the token is known.
struct TokenSubject: Principal {
    let subject: String
}
