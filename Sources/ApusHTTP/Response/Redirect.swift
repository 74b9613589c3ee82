import HTTPTypes

/// Sends the client somewhere else.
public struct Redirect: ResponseConvertible {
    /// How long it holds, and whether the client keeps its method.
    public enum Kind: Sendable {
        /// 303: look there with `GET`, as after a form.
        case seeOther
        /// 307: there, for now, with the same method.
        case temporary
        /// 308: there, from now on, with the same method.
        case permanent
    }

    public let location: String
    public let kind: Kind

    /// - Parameter location: A path or a URL; what no URL can contain is percent-encoded. One that a client gave leads
    ///   wherever they want: check it first.
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
            operation.responses[status] = .init("It is elsewhere.", headers: ["Location": "Where it is."])
        }
    }
}
