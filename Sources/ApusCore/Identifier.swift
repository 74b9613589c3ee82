import FoundationEssentials
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// An identifier of one entity type, so that the identifier of an order cannot be used as that of a driver.
///
/// New identifiers are version 7 UUIDs (RFC 9562 §5.7): they begin with the time in milliseconds and increase
/// monotonically within a process, so that rows that are inserted together are stored next to each other.
///
/// ```swift
/// struct Order: Identifiable {
///     typealias ID = Identifier<Order>
///     let id: ID
/// }
/// ```
public struct Identifier<Entity>: Hashable, Sendable {
    private let high: UInt64
    private let low: UInt64

    /// Creates a new identifier, greater than all that this process has created before.
    public init() {
        (high, low) = UUIDv7.next()
    }
}

extension Identifier: LosslessStringConvertible {
    /// Parses a UUID of 36 characters: `8-4-4-4-12` hexadecimal digits in either case.
    /// - Returns: `nil` if the text is not a UUID.
    public init?(_ description: String) {
        var words: (UInt64, UInt64) = (0, 0)
        var digits = 0
        var position = 0
        for byte in description.utf8 {
            defer { position += 1 }
            if position == 8 || position == 13 || position == 18 || position == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard digits < 32, let digit = Character(UnicodeScalar(byte)).hexDigitValue else { return nil }
            if digits < 16 {
                words.0 = words.0 << 4 | UInt64(digit)
            } else {
                words.1 = words.1 << 4 | UInt64(digit)
            }
            digits += 1
        }
        guard digits == 32, position == 36 else { return nil }
        (high, low) = words
    }

    /// The UUID as 36 lower-case characters.
    public var description: String {
        String(unsafeUninitializedCapacity: 36) { buffer in
            let text = UnsafeMutableRawBufferPointer(buffer)
            let (second, third) = (Self.hexDigits(high), Self.hexDigits(low >> 32))
            text.storeBytes(of: Self.hexDigits(high >> 32).bigEndian, toByteOffset: 0, as: UInt64.self)
            text.storeBytes(of: UInt32(second >> 32).bigEndian, toByteOffset: 9, as: UInt32.self)
            text.storeBytes(of: UInt32(truncatingIfNeeded: second).bigEndian, toByteOffset: 14, as: UInt32.self)
            text.storeBytes(of: UInt32(third >> 32).bigEndian, toByteOffset: 19, as: UInt32.self)
            text.storeBytes(of: UInt32(truncatingIfNeeded: third).bigEndian, toByteOffset: 24, as: UInt32.self)
            text.storeBytes(of: Self.hexDigits(low).bigEndian, toByteOffset: 28, as: UInt64.self)
            for position in [8, 13, 18, 23] { text[position] = UInt8(ascii: "-") }
            return 36
        }
    }

    /// Returns the eight hexadecimal digits of the lower half of a word, the first one in the most significant byte.
    ///
    /// Computes all digits in parallel, because identifiers are formatted for every request.
    private static func hexDigits(_ word: UInt64) -> UInt64 {
        // Moves each nibble to its own byte.
        var digits = word & 0xFFFF_FFFF
        digits = (digits | digits << 16) & 0x0000_FFFF_0000_FFFF
        digits = (digits | digits << 8) & 0x00FF_00FF_00FF_00FF
        digits = (digits | digits << 4) & 0x0F0F_0F0F_0F0F_0F0F
        let isLetter = ((digits &+ 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101
        return digits &+ 0x3030_3030_3030_3030 &+ isLetter &* UInt64(UInt8(ascii: "a") - UInt8(ascii: "0") - 10)
    }
}

extension Identifier: Comparable {
    public static func < (left: Self, right: Self) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

extension Identifier: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let identifier = Self(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "Expected a UUID of 36 characters, found \"\(text.prefix(64))\".")
        }
        self = identifier
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// The generator of version 7 UUIDs.
private enum UUIDv7 {
    private struct State {
        /// The timestamp of the previous UUID: milliseconds, shifted left by 12 bits, and a counter in the lower 12
        /// bits.
        var lastTimestamp: UInt64 = 0
        var random = RandomWords()
    }

    private static let state = Mutex(State())

    static func next() -> (UInt64, UInt64) {
        let milliseconds = UInt64(max(0, Date().timeIntervalSince1970 * 1000))
        let (timestamp, random) = state.withLock { state in
            // If the counter overflows or the clock moves back, the timestamp runs ahead of the clock (RFC 9562 §6.2).
            state.lastTimestamp = max(milliseconds << 12, state.lastTimestamp + 1)
            return (state.lastTimestamp, state.random.next())
        }
        let high = (timestamp >> 12) << 16 | 0x7000 | (timestamp & 0xFFF)
        let low = random & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        return (high, low)
    }
}

/// Random numbers of the system, fetched in batches: one system call per identifier would cost more than the rest of
/// its creation.
private struct RandomWords {
    /// The number of words per batch: 256 bytes, the maximum of one `getentropy` call.
    private static let batchSize = 32
    private var words: [UInt64] = []

    mutating func next() -> UInt64 {
        if let word = words.popLast() { return word }
        words = Array(unsafeUninitializedCapacity: Self.batchSize) { words, count in
            let succeeded = getentropy(words.baseAddress, Self.batchSize * 8) == 0
            count = succeeded ? Self.batchSize : 0
        }
        if let word = words.popLast() { return word }
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}
