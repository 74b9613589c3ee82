import ApusData
import NIOCore

/// What is stored in Redis for a key of a cache: its kind, a version, the generations of its groups and the value.
struct CacheEntry: Equatable {
    enum Kind: UInt8 {
        case value = 0x76
        case absent = 0x61
        /// The mark of a removal: loads that have begun before it must not store their value.
        case removed = 0x78
    }

    let kind: Kind
    let version: UInt64
    let generations: [UInt64]
    let value: [UInt8]

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(11 + 8 * generations.count + value.count)
        bytes.append(kind.rawValue)
        Self.append(version, to: &bytes)
        withUnsafeBytes(of: UInt16(clamping: generations.count).bigEndian) { bytes.append(contentsOf: $0) }
        for generation in generations { Self.append(generation, to: &bytes) }
        bytes += value
        return bytes
    }

    init(_ kind: Kind, version: UInt64, generations: [UInt64] = [], value: [UInt8] = []) {
        self.kind = kind
        self.version = version
        self.generations = generations
        self.value = value
    }

    /// - Returns: `nil` for bytes that this version of the framework did not write.
    init?(_ bytes: ByteBuffer) {
        var bytes = bytes
        guard let kind = bytes.readInteger(as: UInt8.self).flatMap(Kind.init),
            let version = bytes.readInteger(as: UInt64.self),
            let count = bytes.readInteger(as: UInt16.self)
        else { return nil }
        var generations: [UInt64] = []
        for _ in 0..<count {
            guard let generation = bytes.readInteger(as: UInt64.self) else { return nil }
            generations.append(generation)
        }
        self.init(kind, version: version, generations: generations, value: Array(bytes.readableBytesView))
    }

    /// The eight bytes of a number, most significant first.
    static func bytes(of number: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        append(number, to: &bytes)
        return bytes
    }

    private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    /// A number that is not 0, which stands for nothing stored.
    static func newNumber() -> UInt64 { .random(in: 1...(.max)) }
}
