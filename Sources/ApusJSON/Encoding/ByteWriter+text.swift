extension ByteWriter {
    /// Writes a string, quoted and escaped as by Foundation.
    func write(_ text: String) {
        var text = text
        text.withUTF8 { write(quoted: $0) }
    }

    func write(quoted source: UnsafeBufferPointer<UInt8>) {
        // An escaped byte takes at most six bytes. For text longer than 4096 bytes, this worst case is reserved chunk
        // by chunk.
        guard source.count <= 4096 else {
            append(UInt8(ascii: "\""))
            var rest = source[...]
            while !rest.isEmpty {
                let part = rest.prefix(4096)
                append(atMost: 6 * part.count + Self.slack) { escape(UnsafeBufferPointer(rebasing: part), to: $0) }
                rest = rest.dropFirst(4096)
            }
            append(UInt8(ascii: "\""))
            return
        }
        append(atMost: 6 * source.count + 2 + Self.slack) { target in
            target[0] = UInt8(ascii: "\"")
            let written = escape(source, to: target + 1)
            target[written + 1] = UInt8(ascii: "\"")
            return written + 2
        }
    }

    /// The number of bytes past the end of the output that ``escape(_:to:)`` may write to. They are overwritten later.
    private static let slack = 8

    /// Escapes text and returns the number of bytes written. Copies eight bytes at a time if none of them needs an
    /// escape.
    @inline(__always) private func escape(
        _ source: UnsafeBufferPointer<UInt8>, to target: UnsafeMutablePointer<UInt8>
    ) -> Int {
        guard let base = source.baseAddress else { return 0 }
        var read = 0
        var written = 0
        while read < source.count {
            let width = min(8, source.count &- read)
            let word = Self.word(base + read, width)
            if word.hasByteToEscape(slash: escapesSlashes) {
                for byte in UnsafeBufferPointer(start: base + read, count: width) {
                    written &+= escape(byte, to: target + written)
                }
            } else {
                UnsafeMutableRawPointer(target + written).storeBytes(of: word.littleEndian, as: UInt64.self)
                written &+= width
            }
            read &+= width
        }
        return written
    }

    /// Loads the first `width` bytes, at most eight, in little-endian order, padded with spaces.
    @inline(__always) private static func word(_ source: UnsafePointer<UInt8>, _ width: Int) -> UInt64 {
        func load<Part: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as: Part.Type) -> UInt64 {
            UInt64(
                truncatingIfNeeded: Part(
                    littleEndian: UnsafeRawPointer(source).loadUnaligned(fromByteOffset: offset, as: Part.self)))
        }
        if width == 8 { return load(0, as: UInt64.self) }
        let bits = UInt64(8 &* width)
        // Two overlapping loads cover every width.
        let bytes: UInt64
        if width >= 4 {
            bytes = load(0, as: UInt32.self) | load(width &- 4, as: UInt32.self) << (bits &- 32)
        } else if width >= 2 {
            bytes = load(0, as: UInt16.self) | load(width &- 2, as: UInt16.self) << (bits &- 16)
        } else {
            bytes = UInt64(source.pointee)
        }
        return bytes | 0x2020_2020_2020_2020 << bits
    }

    private func escape(_ byte: UInt8, to target: UnsafeMutablePointer<UInt8>) -> Int {
        if isPlain(byte) || byte == UInt8(ascii: "/") && !escapesSlashes {
            target[0] = byte
            return 1
        }
        let letter: UInt8
        switch byte {
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

/// Returns whether a byte is never escaped, whatever the options.
@inline(__always) private func isPlain(_ byte: UInt8) -> Bool {
    // Bit masks of bytes that may need an escape: control characters, " and / in the first, \ in the second.
    let special: (UInt64, UInt64) = (1 << 0x22 | 1 << 0x2F | 0xFFFF_FFFF, 1 << (0x5C - 0x40))
    if byte >= 0x80 { return true }
    return (byte < 0x40 ? special.0 : special.1) >> UInt64(byte & 0x3F) & 1 == 0
}

extension UInt64 {
    /// Returns whether one of the eight bytes is a control character, `"`, `\` or, if `slash` is true, `/`.
    @inline(__always) fileprivate func hasByteToEscape(slash: Bool) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        func zeroBytes(_ word: UInt64) -> UInt64 { (word &- ones) & ~word & tops }
        let control = (self &- ones &* 0x20) & ~self & tops
        let quote = zeroBytes(self ^ (ones &* 0x22))
        let backslash = zeroBytes(self ^ (ones &* 0x5C))
        return control | quote | backslash | (slash ? zeroBytes(self ^ (ones &* 0x2F)) : 0) != 0
    }
}
