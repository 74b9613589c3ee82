import HTTPTypes

/// Adds the header fields that restrict browsers: no MIME sniffing, no framing, no referrer, a content security policy
/// and, over TLS, HTTP Strict Transport Security (HSTS, RFC 6797).
///
/// Fields that the handler has set are not changed.
public struct SecurityHeaders: Middleware {
    private let fields: [HTTPField]
    private let transportSecurity: HTTPField?
    /// A bit set of the lengths of the names of `fields`. Most responses have no name of such a length, which is faster
    /// to check than comparing names.
    private let nameLengths: UInt64

    /// Creates the middleware.
    /// - Parameters:
    ///   - contentSecurityPolicy: The `Content-Security-Policy` of responses without one.
    ///   - transportSecurity: The `Strict-Transport-Security` of responses over TLS; `nil` for none. One year by
    ///     default.
    public init(
        contentSecurityPolicy: String = "default-src 'none'; frame-ancestors 'none'",
        transportSecurity: String? = "max-age=31536000"
    ) {
        self.transportSecurity = transportSecurity.map { HTTPField(name: .strictTransportSecurity, value: $0) }
        fields = [
            HTTPField(name: .xContentTypeOptions, value: "nosniff"), HTTPField(name: .xFrameOptions, value: "DENY"),
            HTTPField(name: .referrerPolicy, value: "no-referrer"),
            HTTPField(name: .contentSecurityPolicy, value: contentSecurityPolicy),
        ]
        nameLengths = fields.reduce(0) { $0 | 1 << UInt64($1.name.canonicalName.utf8.count) }
    }

    public func handle(_ request: Request, next: Next) async -> Response {
        var response = await next(request)
        // Includes capacity for fields that other middleware adds.
        response.headers.reserveCapacity(response.headers.count + fields.count + 4)
        if response.headers.contains(where: { nameLengths >> UInt64($0.name.canonicalName.utf8.count) & 1 == 1 }) {
            for field in fields where !response.headers.contains(field.name) { response.headers.append(field) }
        } else {
            response.headers.append(contentsOf: fields)
        }
        if request.isSecure, let transportSecurity, !response.headers.contains(transportSecurity.name) {
            response.headers.append(transportSecurity)
        }
        return response
    }
}

extension HTTPField.Name {
    fileprivate static let xFrameOptions = HTTPField.Name("X-Frame-Options")!
    fileprivate static let referrerPolicy = HTTPField.Name("Referrer-Policy")!
}
