import HTTPTypes

/// A redirect to another location.
public struct Redirect: ResponseConvertible {
    /// Whether a redirect is permanent, and whether the client keeps the method.
    public enum Kind: Sendable {
        /// 303: the client continues with `GET`, as after a form.
        case seeOther
        /// 307: a temporary redirect with the same method.
        case temporary
        /// 308: a permanent redirect with the same method.
        case permanent
    }

    public let location: String
    public let kind: Kind

    /// Creates a redirect.
    /// - Parameter location: A path or a URL. Characters that no URL can contain are percent-encoded. Validate a
    ///   location that comes from a client, which could otherwise redirect to any site.
    public init(to location: String, _ kind: Kind = .seeOther) {
        self.location = location
        self.kind = kind
    }

    public func response(to request: Request) -> Response {
        let status: HTTPResponse.Status =
            switch kind {
            case .seeOther: .seeOther
            case .temporary: .temporaryRedirect
            case .permanent: .permanentRedirect
            }
        return Response(status: status, headers: [.location: PercentEncoding.encode(url: location)])
    }

    public static func read(_ response: ClientResponse) -> Redirect {
        let kind: Kind =
            switch response.status {
            case .temporaryRedirect: .temporary
            case .permanentRedirect: .permanent
            default: .seeOther
            }
        return Redirect(to: response.headers[.location] ?? "", kind)
    }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        for status in [303, 307, 308] {
            operation.responses[status] = .init("Redirect", headers: ["Location": "The target of the redirect."])
        }
    }
}
