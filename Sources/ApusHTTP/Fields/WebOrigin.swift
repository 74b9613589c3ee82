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

    /// Returns whether the pages of this origin are served by an authority: one with the same host and port, where the
    /// default port of the scheme may be omitted on either side (RFC 6454 §4).
    package func isServed(by authority: String) -> Bool {
        guard let (host, port) = Self.hostAndPort(authority.asciiLowercased) else { return false }
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
