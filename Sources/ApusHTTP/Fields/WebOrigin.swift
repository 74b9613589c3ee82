import ApusCore

/// The origin of a page: scheme, host and port (RFC 6454).
package struct WebOrigin: Equatable {
    let scheme: String
    let host: String
    let port: Int?

    /// Parses an origin.
    /// - Parameter text: The origin in upper or lower case, such as `https://example.org:8443`.
    /// - Returns: `nil` for `null`, the origin of sandboxed pages and files, and for malformed text.
    package init?(_ text: String) {
        let text = text.asciiLowercased
        guard let (scheme, rest) = text.cut(at: ":"), rest.starts(withBytesOf: "//"),
            let address = Self.hostAndPort(Substring(rest.utf8.dropFirst(2)))
        else { return nil }
        self.scheme = String(scheme)
        (host, port) = address
    }

    /// The origin as browsers send it: in lower case, without the default port (RFC 6454 §6.2).
    package var serialized: String {
        guard let port, port != Self.defaultPorts[scheme] else { return "\(scheme)://\(host)" }
        return "\(scheme)://\(host):\(port)"
    }

    /// Returns whether a request was sent to this origin: to the same host and port, where the default port of the
    /// scheme may be omitted on either side, and with the same scheme (RFC 6454 §4–5).
    ///
    /// Behind a proxy that ends TLS and is not trusted, requests seem to be unencrypted. A page with the scheme `https`
    /// may therefore send them; the opposite is not true.
    package func isTarget(of request: Request) -> Bool {
        guard scheme == "https" || scheme == "http" && !request.isSecure,
            let (host, port) = Self.hostAndPort((request.authority ?? "").asciiLowercased)
        else { return false }
        let defaultPort = Self.defaultPorts[scheme]
        return host.isExactly(self.host) && (port ?? defaultPort) == (self.port ?? defaultPort)
    }

    private static let defaultPorts = ["http": 80, "https": 443]

    /// Parses `host`, `host:port`, `[v6]` or `[v6]:port`.
    private static func hostAndPort(_ text: some StringProtocol) -> (String, Int?)? {
        let bytes = Substring(text).utf8
        let end =
            bytes.first == UInt8(ascii: "[")
            ? bytes.firstIndex(of: UInt8(ascii: "]")).map { bytes.index(after: $0) }
            : bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.endIndex
        guard let end, end > bytes.startIndex, !bytes.contains(UInt8(ascii: "/")) else { return nil }
        let host = String(Substring(bytes[..<end]))
        let rest = bytes[end...]
        guard let colon = rest.first else { return (host, nil) }
        let digits = rest.dropFirst()
        guard colon == UInt8(ascii: ":"), digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let port = digits.isEmpty ? .some(nil) : Int(Substring(digits)).map({ Optional($0) })
        else { return nil }
        return (host, port)
    }
}
