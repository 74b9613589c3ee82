extension Span<UInt8> {
    /// Whether the bytes are a host, optionally with a port: `uri-host [":" port]` (RFC 9110 §7.2, RFC 3986 §3.2). User
    /// information, empty hosts, and ports over 65535 are excluded.
    var isAuthority: Bool {
        guard let end = self.endOfHost, end > 0 else { return false }
        guard end < count else { return true }
        guard self[end] == .colon else { return false }
        var port = 0
        for index in end + 1..<count {
            guard self[index].isDigit else { return false }
            port = port * 10 + Int(self[index] & 15)
            guard port <= 0xFFFF else { return false }
        }
        return true
    }

    /// The index after the host; `nil` if it is malformed.
    private var endOfHost: Int? {
        guard count > 0, self[0] == UInt8(ascii: "[") else { return endOfName }
        var index = 1
        while index < count, self[index] != UInt8(ascii: "]") {
            guard self[index].hexDigit != nil || self[index] == .colon || self[index] == UInt8(ascii: ".") else {
                return nil
            }
            index += 1
        }
        // The shortest address is `::`.
        return index < count && index > 2 ? index + 1 : nil
    }

    private var endOfName: Int? {
        var index = 0
        while index < count, self[index] != .colon {
            if self[index] == UInt8(ascii: "%") {
                guard index + 2 < count, self[index + 1].hexDigit != nil, self[index + 2].hexDigit != nil else {
                    return nil
                }
                index += 3
            } else {
                guard self[index].isHostName else { return nil }
                index += 1
            }
        }
        return index
    }
}
