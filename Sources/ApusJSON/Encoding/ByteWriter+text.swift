extension ByteWriter {
    /// A string, quoted and escaped as Foundation does.
    func write(_ text: String) {
        var text = text
        text.withUTF8 { write(quoted: $0) }
    }

    func write(quoted source: UnsafeBufferPointer<UInt8>) {
        // Escaped, a byte takes six at most. Longer texts than a page are not given six times their room ahead.
        guard source.count <= 4096 else {
            append(UInt8(ascii: "\""))
            var rest = source[...]
            while !rest.isEmpty {
                let part = rest.prefix(4096)
                append(atMost: 6 * part.count) { escape(UnsafeBufferPointer(rebasing: part), to: $0) }
                rest = rest.dropFirst(4096)
            }
            append(UInt8(ascii: "\""))
            return
        }
        append(atMost: 6 * source.count + 2) { target in
            target[0] = UInt8(ascii: "\"")
            let written = escape(source, to: target + 1)
            target[written + 1] = UInt8(ascii: "\"")
            return written + 2
        }
    }

    /// Copies eight bytes at a time as long as none of them needs an escape. Returns how many bytes it wrote.
    @inline(__always) private func escape(
        _ source: UnsafeBufferPointer<UInt8>, to target: UnsafeMutablePointer<UInt8>
    ) -> Int {
        guard let base = source.baseAddress else { return 0 }
        var read = 0
        var written = 0
        while read < source.count {
            if read &+ 8 <= source.count {
                let word = UnsafeRawPointer(base + read).loadUnaligned(as: UInt64.self)
                if !word.hasByteToEscape(slash: escapesSlashes) {
                    UnsafeMutableRawPointer(target + written).storeBytes(of: word, as: UInt64.self)
                    read &+= 8
                    written &+= 8
                    continue
                }
            }
            let byte = base[read]
            read &+= 1
            if isPlain(byte) {
                target[written] = byte
                written &+= 1
            } else {
                written &+= escape(byte, to: target + written)
            }
        }
        return written
    }

    private func escape(_ byte: UInt8, to target: UnsafeMutablePointer<UInt8>) -> Int {
        let letter: UInt8
        switch byte {
        case UInt8(ascii: "/") where !escapesSlashes:
            target[0] = byte
            return 1
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): letter = byte
        case 0x08: letter = UInt8(ascii: "b")
        case 0x09: letter = UInt8(ascii: "t")
        case 0x0A: letter = UInt8(ascii: "n")
        case 0x0C: letter = UInt8(ascii: "f")
        case 0x0D: letter = UInt8(ascii: "r")
        default:
            let digits: StaticString = "0123456789abcdef"
            for (index, byte) in "\\u00".utf8.enumerated() { target[index] = byte }
            target[4] = digits.utf8Start[Int(byte >> 4)]
            target[5] = digits.utf8Start[Int(byte & 15)]
            return 6
        }
        target[0] = UInt8(ascii: "\\")
        target[1] = letter
        return 2
    }
}

/// Whether a byte is written as it is, whatever the options.
@inline(__always) private func isPlain(_ byte: UInt8) -> Bool {
    // A bit for each of " and / in the first word, and for \ in the second.
    let special: (UInt64, UInt64) = (1 << 0x22 | 1 << 0x2F | 0xFFFF_FFFF, 1 << (0x5C - 0x40))
    if byte >= 0x80 { return true }
    return (byte < 0x40 ? special.0 : special.1) >> UInt64(byte & 0x3F) & 1 == 0
}

extension UInt64 {
    /// Whether one of the eight bytes is a control character, `"`, `\` or (if asked) `/`.
    @inline(__always) fileprivate func hasByteToEscape(slash: Bool) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        func isZeroSomewhere(_ word: UInt64) -> UInt64 { (word &- ones) & ~word & tops }
        let control = (self &- ones &* 0x20) & ~self & tops
        let quote = isZeroSomewhere(self ^ (ones &* 0x22))
        let backslash = isZeroSomewhere(self ^ (ones &* 0x5C))
        return control | quote | backslash | (slash ? isZeroSomewhere(self ^ (ones &* 0x2F)) : 0) != 0
    }
}
