import ApusCore

/// The origin of a page: scheme, host and port (RFC 6454).
package struct WebOrigin: Equatable {
    let scheme: String
    let host: String
    let port: Int?

    /// - Parameter text: Such as `https://example.org:8443`. In whatever case.
    /// - Returns: `nil` for `null`, the origin of sandboxed pages and files, and for what is malformed.
    package init?(_ text: String) {
        let text = text.asciiLowercased
        guard let (scheme, rest) = text.cut(at: ":"), rest.starts(withBytesOf: "//"),
            let address = Self.hostAndPort(rest.dropFirst(2))
        else { return nil }
        self.scheme = String(scheme)
        (host, port) = address
    }

    /// Whether pages of this origin come from an authority: the same host and port, where the port that a scheme has by default may
    /// be left out on either side (RFC 6454 §4).
    package func isServed(by authority: String) -> Bool {
        guard let (host, port) = Self.hostAndPort(authority.asciiLowercased) else { return false }
        let standard = Self.standardPorts[scheme]
        return host.isExactly(self.host) && (port ?? standard) == (self.port ?? standard)
    }

    private static let standardPorts = ["http": 80, "https": 443]

    /// `host`, `host:port`, `[v6]`, `[v6]:port`.
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
