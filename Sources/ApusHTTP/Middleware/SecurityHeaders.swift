import HTTPTypes

/// The fields that tell a browser to be careful: no sniffing, no framing, no referrer, a content policy, and over TLS never
/// again without it (HSTS, RFC 6797).
///
/// A field that the handler has set itself is left alone.
public struct SecurityHeaders: Middleware {
    private let fields: [HTTPField]
    private let transportSecurity: HTTPField?
    /// A bit for each length that one of their names has: most responses have no name of such a length, which is quicker to
    /// see than that they have none of these names.
    private let lengths: UInt64

    /// - Parameters:
    ///   - contentSecurityPolicy: The `Content-Security-Policy` of responses that bring none.
    ///   - transportSecurity: The `Strict-Transport-Security` of responses over TLS; `nil` for none. A year.
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
        lengths = fields.reduce(0) { $0 | 1 << UInt64($1.name.canonicalName.utf8.count) }
    }

    public func handle(_ request: Request, next: Next) async -> Response {
        var response = await next(request)
        // With room for what other middlewares add.
        response.headers.reserveCapacity(response.headers.count + fields.count + 4)
        if response.headers.contains(where: { lengths >> UInt64($0.name.canonicalName.utf8.count) & 1 == 1 }) {
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
