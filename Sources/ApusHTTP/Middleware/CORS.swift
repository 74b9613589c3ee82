import ApusCore
public import HTTPTypes

/// Cross-origin resource sharing (Fetch standard): allows pages of other origins to call this service.
public struct CORS: Middleware {
    /// The allowed origins.
    public enum Origins: Sendable {
        /// All origins. Credentials are then never allowed.
        case all
        /// Only these origins, such as `https://app.example.org`.
        case only(Set<String>)
    }

    private let origins: Origins
    private let methods: String
    private let headers: String
    private let exposed: String
    private let allowsCredentials: Bool
    private let maxAge: Int

    /// The response fields that pages need for what the framework sends: identifiers, locations, lists, files, rate
    /// limits, and gRPC-Web.
    public static let defaultExposedHeaders = [
        "X-Request-Id", "Location", "Link", "ETag", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining",
        "RateLimit-Reset", "Accept-Ranges", "Content-Disposition", "Content-Range", "Grpc-Status", "Grpc-Message",
        "Grpc-Status-Details-Bin",
    ]

    /// Creates the middleware.
    /// - Parameters:
    ///   - methods: The methods that preflight responses allow.
    ///   - headers: The request fields that preflight responses allow. The defaults include those of gRPC-Web.
    ///   - exposedHeaders: The response fields that pages may read, apart from those that the Fetch standard always
    ///     allows. Pass ``defaultExposedHeaders`` and your own.
    ///   - allowsCredentials: Whether requests may include cookies; only with named origins.
    ///   - maxAge: How long browsers may cache a preflight response, in seconds.
    public init(
        origins: Origins,
        methods: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete],
        headers: [String] = [
            "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Grpc-Timeout",
            "X-Grpc-Web", "X-User-Agent",
        ],
        exposedHeaders: [String] = CORS.defaultExposedHeaders,
        allowsCredentials: Bool = false,
        maxAge: Int = 600
    ) {
        self.origins = origins
        self.methods = methods.map(\.rawValue).joined(separator: ", ")
        self.headers = headers.joined(separator: ", ")
        exposed = exposedHeaders.joined(separator: ", ")
        self.allowsCredentials = allowsCredentials
        self.maxAge = maxAge
    }

    public func handle(_ request: Request, next: Next) async -> Response {
        let origin = request.headers[.origin]
        let isPreflight =
            origin != nil && request.method == .options && request.headers[.accessControlRequestMethod] != nil
        var response = isPreflight ? Response(status: .noContent) : await next(request)
        // Even without `Origin`: a cache must not serve this response to a page of another origin.
        if case .only = origins { response.addVary("Origin") }
        guard let origin, let allowed = allowedValue(for: origin) else { return response }
        response.headers[.accessControlAllowOrigin] = allowed
        if allowsCredentials && allowed != "*" { response.headers[.accessControlAllowCredentials] = "true" }
        if isPreflight {
            response.headers[.accessControlAllowMethods] = methods
            response.headers[.accessControlAllowHeaders] = headers
            response.headers[.accessControlMaxAge] = String(maxAge)
        } else {
            response.headers[.accessControlExposeHeaders] = exposed
        }
        return response
    }

    private func allowedValue(for origin: String) -> String? {
        switch origins {
        case .all: "*"
        case .only(let origins): origins.containsExactly(origin) ? origin : nil
        }
    }
}
