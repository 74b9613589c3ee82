import ApusCore
import HTTPTypes

/// Keeps pages of other origins from acting with the cookies of a user's browser (cross-site request forgery, CSRF).
///
/// Browsers say in `Sec-Fetch-Site` where a request comes from, and old ones in `Origin`: a request that changes something
/// and comes from elsewhere is 403. There are no tokens to carry about. A client that sends neither field is no browser, and
/// has no user's cookies to misuse. `GET`, `HEAD` and `OPTIONS` must change nothing, and are let through, but for those that want a
/// WebSocket.
///
/// Needed where cookies say who is asking; not where a token in a field does.
public struct CrossOriginProtection: Middleware {
    private let trusted: Set<String>

    /// - Parameter trustedOrigins: Those that may, such as `https://app.example.org`.
    public init(trustedOrigins: Set<String> = []) { trusted = trustedOrigins }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        guard isAllowed(request) else {
            throw AppError(
                .permissionDenied, "This request comes from a page of another origin.", reason: .crossOrigin)
        }
        return await next(request)
    }

    private func isAllowed(_ request: Request) -> Bool {
        // A page of any origin may open a WebSocket, cookies and all, and read what comes.
        let wantsUpgrade = request.headers.contains(.upgrade) || request.context.connectProtocol != nil
        switch request.method {
        case .get, .head, .options: guard wantsUpgrade else { return true }
        default: break
        }
        let origin = request.headers[.origin]
        if let origin, trusted.containsExactly(origin) { return true }
        if let site = request.headers[.secFetchSite] { return site == "same-origin" || site == "none" }
        guard let origin else { return true }
        // `null` is the origin of sandboxed pages, which anybody can make.
        guard let origin = WebOrigin(origin), let authority = request.authority else { return false }
        return origin.isServed(by: authority)
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        switch operation.method {
        case .get, .head, .options: break
        default: operation.mayFail(.forbidden, "The request comes from a page of another origin.")
        }
    }
}

extension HTTPField.Name {
    fileprivate static let secFetchSite = HTTPField.Name("Sec-Fetch-Site")!
}
