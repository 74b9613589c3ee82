// Scans the bytes of a header, eight at a time. Byte by byte, scanning took a third of the parser's time.

extension Span<UInt8> {
    /// Returns the length of a header or trailer section including its empty line, or `nil` if it is incomplete.
    /// - Parameter searched: The number of bytes that are known not to contain the end.
    func headLength(searched: inout Int, limit: Int) -> Int? {
        var index = Swift.max(0, searched - 3)
        while true {
            index = firstLineFeed(from: index)
            guard index < count else { break }
            let isEnd = index >= 3 && self[index - 1] == .carriageReturn && self[index - 2] == .lineFeed
            // LF LF also ends the search; the parser then rejects the section immediately.
            if isEnd || (index >= 1 && self[index - 1] == .lineFeed) {
                searched = 0
                return index + 1
            }
            // Beyond the limit, the exact length does not matter.
            if index > limit { break }
            index += 1
        }
        searched = count
        return nil
    }

    /// Returns the index of the next line feed, or ``count`` if there is none.
    private func firstLineFeed(from start: Int) -> Int {
        first(from: start, inWord: { Self.zeros($0 ^ Self.repeated(.lineFeed)) }, byte: { $0 == .lineFeed })
    }

    /// Returns the end of a field's text: the index of the next control character other than a tab, or ``count`` if
    /// there is none.
    func endOfText(from start: Int) -> Int {
        var index = start
        while true {
            index = first(
                from: index,
                inWord: { word in
                    let below = (word &- Self.repeated(.space)) & ~word & Self.repeated(0x80)
                    return below | Self.zeros(word ^ Self.repeated(0x7F))
                },
                byte: { $0 < .space || $0 == 0x7F })
            guard index < count, self[index] == .tab else { return index }
            index += 1
        }
    }

    /// Returns the index of the first matching byte, or ``count`` if there is none.
    /// - Parameters:
    ///   - inWord: Sets the highest bit of each matching byte. Bytes above the lowest match may be set incorrectly,
    ///     because a borrow propagates upwards.
    ///   - byte: Whether a single byte matches.
    @inline(__always)
    private func first(from start: Int, inWord: (UInt64) -> UInt64, byte: (UInt8) -> Bool) -> Int {
        var index = start
        while index + 8 <= count {
            let word = UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self))
            let found = inWord(word)
            if found != 0 { return index + found.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < count, !byte(self[index]) { index += 1 }
        return index
    }

    /// Sets the highest bit of the lowest zero byte, and possibly of some bytes above it.
    @inline(__always)
    private static func zeros(_ word: UInt64) -> UInt64 { (word &- repeated(1)) & ~word & repeated(0x80) }

    @inline(__always)
    private static func repeated(_ byte: UInt8) -> UInt64 { 0x0101_0101_0101_0101 &* UInt64(byte) }
}
