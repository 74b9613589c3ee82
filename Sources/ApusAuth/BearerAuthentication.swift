public import ApusCore
public import ApusHTTP
import FoundationEssentials
import HTTPTypes

/// Reads the bearer token of a request (RFC 6750) and verifies it.
///
/// It refuses nothing by itself, so that a stale token does not bar the way to a public endpoint: what an endpoint demands
/// is said by its ``Authenticated`` input. A browser's WebSocket, which cannot set header fields, sends the token as a
/// subprotocol `bearer.<token>` beside the one that it wants to speak.
public struct BearerAuthentication: Middleware {
    private let verifier: any JWT.Verifier

    private let clock: any WallClock

    public init(_ verifier: any JWT.Verifier, clock: any WallClock = SystemClock()) {
        self.verifier = verifier
        self.clock = clock
    }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        if let token = Self.token(of: request) {
            do {
                let claims = try await verifier.verify(token)
                request.context[VerifiedToken.self] = .success(claims)
                request.context.principal = TokenSubject(subject: claims.subject)
                let left = claims.expiresAt.timeIntervalSince(clock.now)
                request.context.principalTimeLeft = .seconds(min(max(0, left), 365 * 86400))
            } catch let error as AppError {
                request.context[VerifiedToken.self] = .failure(error)
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

enum VerifiedToken: RequestContextKey {
    typealias Value = Result<JWT.Claims, AppError>
}

/// A principal of whom only the token's subject is known.
struct TokenSubject: Principal {
    let subject: String
}
