import ApusCore
public import ApusHTTP
import HTTPTypes

/// Refuses requests past a limit with 429 and `Retry-After`, and tells every client where it stands with `RateLimit-Limit`,
/// `RateLimit-Remaining` and `RateLimit-Reset` (draft-ietf-httpapi-ratelimit-headers-07, §5).
public struct RateLimit: Middleware {
    /// Whose requests are counted together.
    public enum Identity: Sendable {
        /// Those of a principal; of an address where there is no principal.
        case perPrincipal
        /// Those of an address of the network: for IPv6, of its /64.
        case perAddress
    }

    private let identity: Identity
    private let policy: RateLimitPolicy
    private let limiter: any RateLimiter
    private let name: String

    /// - Parameters:
    ///   - limiter: Where it is counted; in this process's memory by default.
    ///   - name: What tells this limit from others that count in the same limiter; the place in the source by default.
    public init(
        _ identity: Identity, _ policy: RateLimitPolicy, limiter: any RateLimiter = MemoryRateLimiter(),
        name: String
    ) {
        self.identity = identity
        self.policy = policy
        self.limiter = limiter
        self.name = name
    }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        let decision = try await limiter.take("\(name):\(key(of: request))", limit: policy)
        var response = decision.isAllowed ? await next(request) : Response(error: exceeded(decision))
        response.headers[.rateLimitLimit] = String(policy.count)
        response.headers[.rateLimitRemaining] = String(decision.remaining)
        response.headers[.rateLimitReset] = String(Int(decision.resetAfter.seconds.rounded(.up)))
        return response
    }

    private func exceeded(_ decision: RateLimitDecision) -> AppError {
        AppError(
            .resourceExhausted, "At most \(policy.count) requests in \(policy.period) are allowed.",
            retryAfter: decision.retryAfter)
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        operation.mayFail(.tooManyRequests, "Too many requests: at most \(policy.count) in \(policy.period).")
    }

    private func key(of request: Request) -> String {
        if identity == .perPrincipal, let principal = request.context.principal { return "p:\(principal.subject)" }
        return "a:\(Self.network(of: request.remoteAddress ?? "none"))"
    }

    /// An IPv6 client has a whole /64 at its disposal, so that is what is counted.
    static func network(of address: String) -> String {
        guard let parsed = IPAddress(address) else { return address }
        let bytes = parsed.bytes
        guard bytes.count == 16 else { return parsed.description }
        let groups = stride(from: 0, to: 8, by: 2).map {
            String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
        }
        return groups.joined(separator: ":") + "::/64"
    }
}

extension Middleware where Self == RateLimit {
    /// At most so many requests in a period, counted in this process's memory.
    public static func rateLimit(
        _ identity: RateLimit.Identity, _ count: Int, per period: Duration, file: String = #fileID, line: Int = #line
    ) -> RateLimit {
        RateLimit(identity, RateLimitPolicy(count, per: period), name: "\(file):\(line)")
    }
}

extension HTTPField.Name {
    fileprivate static let rateLimitLimit = HTTPField.Name("RateLimit-Limit")!
    fileprivate static let rateLimitRemaining = HTTPField.Name("RateLimit-Remaining")!
    fileprivate static let rateLimitReset = HTTPField.Name("RateLimit-Reset")!
}
