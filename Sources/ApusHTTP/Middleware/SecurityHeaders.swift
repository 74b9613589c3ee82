import HTTPTypes

/// The fields that tell a browser to be careful: no sniffing, no framing, no referrer, and a content policy.
///
/// A field that the handler has set itself is left alone.
public struct SecurityHeaders: Middleware {
    private let contentSecurityPolicy: String

    /// - Parameter contentSecurityPolicy: The `Content-Security-Policy` of responses that bring none.
    public init(contentSecurityPolicy: String = "default-src 'none'; frame-ancestors 'none'") {
        self.contentSecurityPolicy = contentSecurityPolicy
    }

    public func handle(_ request: Request, next: Handler) async throws -> Response {
        var response = try await next(request)
        response.headers.setDefault(.xContentTypeOptions, "nosniff")
        response.headers.setDefault(.xFrameOptions, "DENY")
        response.headers.setDefault(.referrerPolicy, "no-referrer")
        response.headers.setDefault(.contentSecurityPolicy, contentSecurityPolicy)
        return response
    }
}

extension HTTPFields {
    fileprivate mutating func setDefault(_ name: HTTPField.Name, _ value: String) {
        if self[name] == nil { self[name] = value }
    }
}

extension HTTPField.Name {
    fileprivate static let xFrameOptions = HTTPField.Name("X-Frame-Options")!
    fileprivate static let referrerPolicy = HTTPField.Name("Referrer-Policy")!
}
