import ApusCore
public import ApusHTTP
import HTTPTypes

/// Middleware that rejects requests above a rate limit with 429 and `Retry-After`.
///
/// All responses contain the fields `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`
/// (draft-ietf-httpapi-ratelimit-headers-07, §5).
public struct RateLimit: Middleware {
    /// The requests that are counted together.
    public enum Identity: Sendable {
        /// The requests of a principal, or of a network address if there is no principal.
        case perPrincipal
        /// The requests of a network address, for IPv6 of its /64 network.
        case perAddress
    }

    private let identity: Identity
    private let policy: RateLimitPolicy
    /// The limiter that was given; `nil` for that of the app.
    private let ownLimiter: (any RateLimiter)?
    private let limiter: any RateLimiter
    private let name: String

    /// Creates the middleware.
    /// - Parameters:
    ///   - identity: The requests that are counted together.
    ///   - policy: The number of requests and the period.
    ///   - limiter: The limiter that counts requests; by default the app's, which all its processes share if it uses
    ///     Redis. Outside of an app, the default counts in the memory of this process.
    ///   - name: The name of this limit, which must be unique among the limits that share the limiter.
    public init(
        _ identity: Identity, _ policy: RateLimitPolicy, limiter: (any RateLimiter)? = nil, name: String
    ) {
        self.identity = identity
        self.policy = policy
        ownLimiter = limiter
        self.limiter = limiter ?? MemoryRateLimiter()
        self.name = name
    }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        let decision = try await limiter.take("\(name):\(key(of: request))", limit: policy)
        var response = decision.isAllowed ? await next(request) : Response(error: error(for: decision))
        response.headers[.rateLimitLimit] = String(policy.count)
        response.headers[.rateLimitRemaining] = String(decision.remaining)
        response.headers[.rateLimitReset] = String(Int(decision.resetAfter.seconds.rounded(.up)))
        return response
    }

    private func error(for decision: RateLimitDecision) -> AppError {
        AppError(
            .resourceExhausted, exceeded, retryAfter: decision.retryAfter)
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        operation.addErrorResponse(.tooManyRequests, exceeded)
    }

    private var exceeded: String {
        let seconds = policy.period.seconds
        let text = seconds == seconds.rounded() ? String(Int(seconds)) : String(seconds)
        return "The limit of \(policy.count) requests in \(text) \(text == "1" ? "second" : "seconds") is exceeded."
    }

    private func key(of request: Request) -> String {
        if identity == .perPrincipal, let principal = request.context.principal { return "p:\(principal.subject)" }
        return "a:\(Self.network(of: request.remoteAddress ?? "none"))"
    }

    /// Returns the address or, for IPv6, its /64 network, because an IPv6 client usually controls an entire /64.
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

extension RateLimit: AppConfigured {
    package func configured(for routes: Routes) -> any Middleware {
        guard ownLimiter == nil, let limiter = routes.attached((any RateLimiter).self).last else { return self }
        return RateLimit(identity, policy, limiter: limiter, name: name)
    }
}

extension Middleware where Self == RateLimit {
    /// Returns a rate limit of a number of requests in a period, counted by the limiter of the app: in all its processes
    /// together if it uses Redis.
    ///
    /// The limit is named after its source location. Groups that use the same value, or values from the same line, are
    /// counted together.
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
