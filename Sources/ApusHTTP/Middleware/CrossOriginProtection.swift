import ApusCore
import HTTPTypes

/// Prevents pages of other origins from using the cookies of a user's browser (cross-site request forgery, CSRF).
///
/// Browsers report where a request comes from in `Sec-Fetch-Site`, and old ones in `Origin`. A request that may change
/// something and comes from another origin is rejected with 403. No CSRF tokens are needed. A client that sends neither
/// field is not a browser and has no cookies of a user to misuse. `GET`, `HEAD` and `OPTIONS` must not change anything
/// and are allowed, except for WebSocket handshakes.
///
/// It is needed if cookies authenticate the caller, and not needed if a token in a header field does.
public struct CrossOriginProtection: Middleware {
    private let trusted: Set<String>

    /// Creates the middleware.
    /// - Parameter trustedOrigins: Other origins that are allowed, such as `https://app.example.org`.
    public init(trustedOrigins: Set<String> = []) { trusted = trustedOrigins }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        guard isAllowed(request) else {
            throw AppError(
                .permissionDenied, "Requests from pages of other origins are not allowed.", reason: .crossOrigin)
        }
        return await next(request)
    }

    private func isAllowed(_ request: Request) -> Bool {
        // Browsers allow pages of any origin to open a WebSocket, with cookies, and to read the messages.
        let wantsUpgrade = request.headers.contains(.upgrade) || request.context.connectProtocol != nil
        switch request.method {
        case .get, .head, .options: guard wantsUpgrade else { return true }
        default: break
        }
        let origin = request.headers[.origin]
        if let origin, trusted.containsExactly(origin) { return true }
        if let site = request.headers[.secFetchSite] { return site == "same-origin" || site == "none" }
        guard let origin else { return true }
        // `null` is the origin of sandboxed pages, which anyone can create.
        return WebOrigin(origin)?.isTarget(of: request) ?? false
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        switch operation.method {
        case .get, .head, .options: break
        default: operation.addErrorResponse(.forbidden, "The request comes from a page of another origin.")
        }
    }
}

extension HTTPField.Name {
    fileprivate static let secFetchSite = HTTPField.Name("Sec-Fetch-Site")!
}
