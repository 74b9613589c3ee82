/// The hash slot of a key, which determines its server in a cluster: CRC-16/XMODEM of the key, modulo 16,384.
///
/// If the key has a non-empty hash tag, the text between the first `{` and the next `}`, only the tag is hashed, so that
/// related keys such as `{user:42}:cart` and `{user:42}:orders` are on one server.
enum HashSlot {
    static let count = 16_384

    static func of(_ key: UnsafeRawBufferPointer) -> UInt16 { crc16(tag(of: key)) % UInt16(count) }

    static func of(_ key: String) -> UInt16 {
        var key = key
        return key.withUTF8 { of(UnsafeRawBufferPointer($0)) }
    }

    private static func tag(of key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard let open = key.firstIndex(of: UInt8(ascii: "{")) else { return key }
        let rest = key[(open + 1)...]
        guard let close = rest.firstIndex(of: UInt8(ascii: "}")), close > open + 1 else { return key }
        return UnsafeRawBufferPointer(rebasing: key[open + 1..<close])
    }

    private static func crc16(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
        var crc: UInt16 = 0
        for byte in bytes { crc = crc << 8 ^ table[Int(crc >> 8 ^ UInt16(byte))] }
        return crc
    }

    private static let table: [UInt16] = (0..<256).map { index in
        var crc = UInt16(index) << 8
        for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
        return crc
    }
}
