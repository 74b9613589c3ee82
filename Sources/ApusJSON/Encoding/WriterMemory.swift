import Synchronization

/// What a writer works in: bytes, levels and keys. The last few are kept for the writers to come, because memory of their
/// size is slow to allocate.
///
/// `@unchecked Sendable`: one writer has it at a time.
struct WriterMemory: @unchecked Sendable {
    private(set) var bytes: UnsafeMutablePointer<UInt8>
    private(set) var byteCapacity: Int
    private(set) var levels: UnsafeMutablePointer<ByteWriter.Level>
    /// ``fewKeys`` for each level.
    private(set) var keys: UnsafeMutablePointer<ByteWriter.Key>
    private(set) var levelCapacity: Int
    private(set) var keyTables: [KeyTable] = []
    private var lastKeyTable: KeyTable?

    /// The types of keys that are remembered. The keys of others are written like any text.
    private static let mostKeyTables = 64

    /// The keys of a level that have a place.
    static let fewKeys = 16

    private init(byteCapacity: Int, levelCapacity: Int) {
        self.byteCapacity = byteCapacity
        self.levelCapacity = levelCapacity
        bytes = .allocate(capacity: byteCapacity)
        levels = .allocate(capacity: levelCapacity)
        keys = .allocate(capacity: levelCapacity * Self.fewKeys)
        levels.initialize(repeating: ByteWriter.Level(serial: 0, closer: 0), count: levelCapacity)
    }

    private func deallocate() {
        bytes.deallocate()
        levels.deallocate()
        keys.deallocate()
    }

    // MARK: Keys

    /// What is known of a type of keys, and `nil` once there are too many.
    mutating func keyTable(of type: any CodingKey.Type) -> KeyTable? {
        if let lastKeyTable, lastKeyTable.id == ObjectIdentifier(type) { return lastKeyTable }
        lastKeyTable = keyTables.first { $0.id == ObjectIdentifier(type) }
        if lastKeyTable == nil, keyTables.count < Self.mostKeyTables {
            let table = KeyTable(of: type)
            keyTables.append(table)
            lastKeyTable = table
        }
        return lastKeyTable
    }

    // MARK: Growth

    /// - Parameter count: How many bytes are to be kept.
    @inline(never) mutating func growBytes(by extra: Int, keeping count: Int) {
        byteCapacity = max(2 * byteCapacity, count + extra)
        let grown = UnsafeMutablePointer<UInt8>.allocate(capacity: byteCapacity)
        grown.moveInitialize(from: bytes, count: count)
        bytes.deallocate()
        bytes = grown
    }

    mutating func growLevels() {
        var grown = WriterMemory(byteCapacity: 1, levelCapacity: 2 * levelCapacity)
        grown.levels.update(from: levels, count: levelCapacity)
        grown.keys.update(from: keys, count: levelCapacity * Self.fewKeys)
        swap(&self.levels, &grown.levels)
        swap(&self.keys, &grown.keys)
        levelCapacity = grown.levelCapacity
        grown.deallocate()
    }

    // MARK: Reuse

    private static let spare = Mutex<[WriterMemory]>([])
    private static let mostSpare = 16
    /// Larger ones are not kept.
    private static let largestSpare = (bytes: 64 << 10, levels: 64)

    static func take() -> WriterMemory {
        spare.withLock { $0.popLast() } ?? WriterMemory(byteCapacity: 2048, levelCapacity: 16)
    }

    func giveBack() {
        let isSmall = byteCapacity <= Self.largestSpare.bytes && levelCapacity <= Self.largestSpare.levels
        let isKept =
            isSmall
            && Self.spare.withLock { spare in
                guard spare.count < Self.mostSpare else { return false }
                spare.append(self)
                return true
            }
        if !isKept { deallocate() }
    }
}
