public import NIOCore

/// A command with its arguments, already encoded.
///
/// ```swift
/// var command = RedisCommand("SET")
/// command.append(key: "session:42")
/// command.append("Ada")
/// command.append("PX")
/// command.append(30_000)
/// let reply = try await redis.send(command)
/// ```
///
/// Arguments are sent with their length, so no argument can be mistaken for another one or for a command, whatever bytes
/// it has. Keys are marked as such, because a cluster finds the server of a command by its keys.
public struct RedisCommand: Sendable {
    /// The encoded words, without the header that states their number.
    package private(set) var words: [UInt8]
    /// The number of words: the name and the arguments.
    package private(set) var wordCount = 0
    /// Where the first key is in ``words``.
    private var firstKey: Range<Int>?
    private var otherKeys: [Range<Int>] = []

    /// Begins a command.
    /// - Parameter name: The name, such as `GET`. The words of a name such as `CLIENT ID` are separate arguments.
    public init(_ name: StaticString) {
        words = []
        words.reserveCapacity(64)
        name.withUTF8Buffer { append(bytes: UnsafeRawBufferPointer($0)) }
    }

    /// Begins a command whose name is computed.
    public init(named name: String) {
        words = []
        append(name)
    }

    /// Appends a text.
    public mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(bytes: UnsafeRawBufferPointer($0)) }
    }

    /// Appends bytes.
    public mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append(bytes: $0) } }

    /// Appends bytes.
    public mutating func append(_ bytes: ByteBuffer) { bytes.withUnsafeReadableBytes { append(bytes: $0) } }

    /// Appends an integer in decimal digits.
    public mutating func append(_ integer: Int) { append(Int64(integer)) }

    /// Appends an integer in decimal digits.
    public mutating func append(_ integer: Int64) {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            let start = Self.write(integer.magnitude, isNegative: integer < 0, to: digits)
            append(bytes: UnsafeRawBufferPointer(rebasing: digits[start...]))
        }
    }

    /// Appends a floating-point number, in the shortest form that reads back as the same number.
    public mutating func append(_ number: Double) {
        if number == .infinity { return append("+inf") }
        if number == -.infinity { return append("-inf") }
        append("\(number)")
    }

    /// Appends a value.
    public mutating func append(_ value: some RedisEncodable) { value.encode(into: &self) }

    /// Appends a key.
    public mutating func append(key: String) {
        append(key)
        note(keyOf: key.utf8.count)
    }

    /// Appends a key of bytes.
    public mutating func append(key: ByteBuffer) {
        append(key)
        note(keyOf: key.readableBytes)
    }

    /// Appends keys.
    public mutating func append(keys: [String]) { for key in keys { append(key: key) } }

    private mutating func note(keyOf length: Int) {
        let range = words.count - 2 - length..<words.count - 2
        if firstKey == nil { firstKey = range } else { otherKeys.append(range) }
    }

    private mutating func append(bytes: UnsafeRawBufferPointer) {
        wordCount += 1
        Self.writeHeader(UInt8(ascii: "$"), bytes.count, to: &words)
        words.append(contentsOf: bytes)
        words.append(UInt8(ascii: "\r"))
        words.append(UInt8(ascii: "\n"))
    }

    // MARK: Encoding

    /// Writes the command.
    package func write(to output: inout ByteBuffer) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 1) { header in
            let digits = UnsafeMutableRawBufferPointer(rebasing: header[1..<21])
            let start = Self.write(UInt64(wordCount), isNegative: false, to: digits)
            header[start] = UInt8(ascii: "*")
            header[21] = UInt8(ascii: "\r")
            header[22] = UInt8(ascii: "\n")
            output.writeBytes(UnsafeRawBufferPointer(rebasing: header[start..<23]))
        }
        words.withUnsafeBytes { _ = output.writeBytes($0) }
    }

    /// The approximate size of the encoded command in bytes.
    package var size: Int { words.count + 8 }

    private static func writeHeader(_ marker: UInt8, _ count: Int, to words: inout [UInt8]) {
        words.append(marker)
        if count < 10 {
            words.append(UInt8(ascii: "0") + UInt8(count))
        } else if count < 100 {
            words.append(UInt8(ascii: "0") + UInt8(count / 10))
            words.append(UInt8(ascii: "0") + UInt8(count % 10))
        } else {
            withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
                let start = write(UInt64(count), isNegative: false, to: digits)
                words.append(contentsOf: UnsafeRawBufferPointer(rebasing: digits[start...]))
            }
        }
        words.append(UInt8(ascii: "\r"))
        words.append(UInt8(ascii: "\n"))
    }

    /// Writes a number to the end of 20 bytes.
    /// - Returns: Where it begins.
    private static func write(
        _ magnitude: UInt64, isNegative: Bool, to digits: UnsafeMutableRawBufferPointer
    ) -> Int {
        var rest = magnitude
        var index = digits.count
        repeat {
            index -= 1
            digits[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        if isNegative {
            index -= 1
            digits[index] = UInt8(ascii: "-")
        }
        return index
    }

    // MARK: Keys

    /// The hash slots of the keys, without repetitions in a row.
    package var slots: [UInt16] {
        guard let firstKey else { return [] }
        return words.withUnsafeBytes { bytes in
            var slots = [HashSlot.of(UnsafeRawBufferPointer(rebasing: bytes[firstKey]))]
            for key in otherKeys {
                let slot = HashSlot.of(UnsafeRawBufferPointer(rebasing: bytes[key]))
                if slots.last != slot { slots.append(slot) }
            }
            return slots
        }
    }

    // MARK: Words

    /// The name.
    package var name: String { String(decoding: words[nameRange], as: UTF8.self) }

    /// Where the name is in ``words``.
    var nameRange: Range<Int> { word(at: 0) }

    /// The name and the arguments, with what is not UTF-8 replaced.
    var texts: [String] {
        var texts: [String] = []
        var index = 0
        while index < words.count {
            let range = word(at: index)
            texts.append(String(decoding: words[range], as: UTF8.self))
            index = range.upperBound + 2
        }
        return texts
    }

    /// Where the text is of the word that begins at an index, with `$`, its length and CR LF.
    private func word(at start: Int) -> Range<Int> {
        var index = start + 1
        var length = 0
        while words[index] != UInt8(ascii: "\r") {
            length = length * 10 + Int(words[index] - UInt8(ascii: "0"))
            index += 1
        }
        return index + 2..<index + 2 + length
    }
}
