import ApusCore

extension Node {
    /// Returns the bytes between the quotes of a string.
    @inline(__always) func contents(in bytes: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(rebasing: bytes[Int(start) &+ 1..<Int(end) &- 1])
    }

    /// Returns the text of a string with escapes resolved.
    func text(in bytes: UnsafeBufferPointer<UInt8>) -> String {
        let contents = contents(in: bytes)
        if isPlain || !contents.contains(UInt8(ascii: "\\")) { return String(decoding: contents, as: UTF8.self) }
        return String(unsafeUninitializedCapacity: contents.count) { unescape(contents, into: $0) }
    }

    func hasSameText(as other: Node, in bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        if !isPlain || !other.isPlain { return text(in: bytes).isExactly(other.text(in: bytes)) }
        guard end &- start == other.end &- other.start else { return false }
        return contents(in: bytes).elementsEqual(other.contents(in: bytes))
    }
}

/// Resolves escapes and returns the number of bytes written, which never exceeds the size of the source.
///
/// The source must have been validated by ``Scanner``.
private func unescape(_ source: UnsafeBufferPointer<UInt8>, into target: UnsafeMutableBufferPointer<UInt8>) -> Int {
    var read = 0
    var written = 0
    func append(_ byte: UInt8) {
        target[written] = byte
        written += 1
    }
    while read < source.count {
        guard source[read] == UInt8(ascii: "\\") else {
            append(source[read])
            read += 1
            continue
        }
        let letter = source[read + 1]
        guard letter == UInt8(ascii: "u") else {
            append(escapedByte(letter))
            read += 2
            continue
        }
        var scalar = UInt32(codeUnit(atEscape: read, in: source) ?? 0)
        read += 6
        if UTF16.isLeadSurrogate(UInt16(scalar)) {
            let low = UInt32(codeUnit(atEscape: read, in: source) ?? 0)
            scalar = 0x10000 + ((scalar - 0xD800) << 10) + (low &- 0xDC00)
            read += 6
        }
        for byte in UTF8.encode(Unicode.Scalar(scalar) ?? "\u{FFFD}") ?? UTF8.encodedReplacementCharacter {
            append(byte)
        }
    }
    return written
}

private func escapedByte(_ letter: UInt8) -> UInt8 {
    switch letter {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: letter
    }
}

/// Returns the code unit of the escape `\uXXXX` that begins at `start`, or `nil` if it is malformed.
func codeUnit(atEscape start: Int, in bytes: UnsafeBufferPointer<UInt8>) -> UInt16? {
    guard start + 6 <= bytes.count else { return nil }
    var unit: UInt16 = 0
    for byte in bytes[start + 2..<start + 6] {
        let digit: UInt8
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
        default: return nil
        }
        unit = unit << 4 | UInt16(digit)
    }
    return unit
}
