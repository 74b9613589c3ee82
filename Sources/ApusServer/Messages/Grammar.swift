// The character classes of the HTTP grammar (RFC 9110 §5.6, RFC 3986 §3.2), as tests of single bytes.

extension UInt8 {
    static let tab = UInt8(ascii: "\t")
    static let lineFeed = UInt8(ascii: "\n")
    static let carriageReturn = UInt8(ascii: "\r")
    static let space = UInt8(ascii: " ")
    static let colon = UInt8(ascii: ":")
    static let semicolon = UInt8(ascii: ";")

    var isBlank: Bool { self == .space || self == .tab }

    var isDigit: Bool { self &- UInt8(ascii: "0") < 10 }

    /// Whether the byte is a `tchar`: a letter, a digit or one of ``!#$%&'*+-.^_`|~``.
    var isToken: Bool { isIn(low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE) }

    /// Whether the byte may occur in the name of a host: a letter, a digit or one of ``-._~!$&'()*+;=``. A comma is
    /// excluded, because it would join several hosts.
    var isHostName: Bool { isIn(low: 0x2BFF_6FD2_0000_0000, high: 0x47FF_FFFE_87FF_FFFE) }

    /// Whether the byte is in a set of ASCII characters, given as one bit for each character below 64 and for each from
    /// 64 on. A lookup table in memory would cost more.
    @inline(__always)
    private func isIn(low: UInt64, high: UInt64) -> Bool {
        self < 0x80 && (self < 64 ? low >> UInt64(self) : high >> UInt64(self & 63)) & 1 == 1
    }

    /// The value of a hexadecimal digit; `nil` for any other byte.
    var hexDigit: Int? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(self - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): Int(self - UInt8(ascii: "a")) + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): Int(self - UInt8(ascii: "A")) + 10
        default: nil
        }
    }
}

extension Span<UInt8> {
    /// Returns whether the bytes equal a text.
    /// - Parameter text: ASCII.
    func isEqual(to text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for index in indices where self[index] != text.utf8Start[index] { return false }
        return true
    }

    /// Returns whether the bytes equal a text, ignoring case.
    /// - Parameter text: ASCII in lower case.
    func isEqual(toLowercase text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for index in indices {
            let byte = self[index]
            let isUpper = byte &- UInt8(ascii: "A") < 26
            guard (isUpper ? byte | 0x20 : byte) == text.utf8Start[index] else { return false }
        }
        return true
    }
}
