import FoundationEssentials
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// An identifier that belongs to one type, so that an order's cannot be passed for a driver's.
///
/// New ones are UUIDs of version 7 (RFC 9562 §5.7): they begin with the time in milliseconds and grow within a process,
/// so that rows inserted together lie together.
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

    /// A new identifier, greater than every one that this process made before.
    public init() {
        (high, low) = UUIDv7.next()
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

extension Identifier: LosslessStringConvertible {
    /// Reads the 36 characters of a UUID, `8-4-4-4-12` hexadecimal digits in either case; `nil` for anything else.
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

    /// The 36 lower-case characters of the UUID.
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

    /// The eight digits of a word's lower half, the first one in the highest byte. All at once: identifiers are written for
    /// every request.
    private static func hexDigits(_ word: UInt64) -> UInt64 {
        // Each half byte moves to a byte of its own.
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

/// The generator behind ``Identifier``.
private enum UUIDv7 {
    private struct State {
        /// Milliseconds in the upper 48 bits, a counter in the lower 12: the last pair given out.
        var last: UInt64 = 0
        var random = RandomWords()
    }

    private static let state = Mutex(State())

    static func next() -> (UInt64, UInt64) {
        let milliseconds = UInt64(max(0, Date().timeIntervalSince1970 * 1000))
        let (ticket, random) = state.withLock { state in
            // A counter that overflows, or a clock that goes back, borrows from the next millisecond (RFC 9562 §6.2).
            state.last = max(milliseconds << 12, state.last + 1)
            return (state.last, state.random.next())
        }
        let high = (ticket >> 12) << 16 | 0x7000 | (ticket & 0xFFF)
        let low = random & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        return (high, low)
    }
}

/// Random numbers of the system, fetched many at a time: a call for each costs more than the identifier.
private struct RandomWords {
    /// 256 bytes: the most that `getentropy` gives at once.
    private static let batch = 32
    private var words: [UInt64] = []

    mutating func next() -> UInt64 {
        if let word = words.popLast() { return word }
        words = Array(unsafeUninitializedCapacity: Self.batch) { words, count in
            let fetched = getentropy(words.baseAddress, Self.batch * 8) == 0
            count = fetched ? Self.batch : 0
        }
        if let word = words.popLast() { return word }
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}
