import Synchronization

/// The buffers of a writer: bytes, levels, keys and key tables. They are pooled, because buffers of this size are slow
/// to allocate.
///
/// `@unchecked Sendable`: only one writer uses it at a time.
struct WriterMemory: @unchecked Sendable {
    private(set) var bytes: UnsafeMutablePointer<UInt8>
    private(set) var byteCapacity: Int
    private(set) var levels: UnsafeMutablePointer<ByteWriter.Level>
    /// ``keysPerLevel`` entries for each level.
    private(set) var keys: UnsafeMutablePointer<ByteWriter.Key>
    private(set) var levelCapacity: Int
    private(set) var keyTables: [KeyTable] = []
    private var lastKeyTable: KeyTable?

    /// The maximum number of key tables. Keys of further types are written like any text.
    private static let maximumKeyTables = 64

    /// The number of keys of a level that are stored here.
    static let keysPerLevel = 16

    private init(byteCapacity: Int, levelCapacity: Int) {
        self.byteCapacity = byteCapacity
        self.levelCapacity = levelCapacity
        bytes = .allocate(capacity: byteCapacity)
        levels = .allocate(capacity: levelCapacity)
        keys = .allocate(capacity: levelCapacity * Self.keysPerLevel)
        levels.initialize(repeating: ByteWriter.Level(serial: 0, closer: 0), count: levelCapacity)
    }

    private func deallocate() {
        bytes.deallocate()
        levels.deallocate()
        keys.deallocate()
    }

    // MARK: Keys

    /// Returns the key table of a key type; `nil` if the maximum number of tables is reached.
    mutating func keyTable(of type: any CodingKey.Type) -> KeyTable? {
        if let lastKeyTable, lastKeyTable.id == ObjectIdentifier(type) { return lastKeyTable }
        lastKeyTable = keyTables.first { $0.id == ObjectIdentifier(type) }
        if lastKeyTable == nil, keyTables.count < Self.maximumKeyTables {
            let table = KeyTable(of: type)
            keyTables.append(table)
            lastKeyTable = table
        }
        return lastKeyTable
    }

    // MARK: Growth

    /// - Parameter count: The number of bytes to preserve.
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
        grown.keys.update(from: keys, count: levelCapacity * Self.keysPerLevel)
        swap(&self.levels, &grown.levels)
        swap(&self.keys, &grown.keys)
        levelCapacity = grown.levelCapacity
        grown.deallocate()
    }

    // MARK: Reuse

    private static let pool = Mutex<[WriterMemory]>([])
    private static let maximumPoolCount = 16
    /// The maximum capacities of pooled buffers.
    private static let maximumPooled = (bytes: 64 << 10, levels: 64)

    static func acquire() -> WriterMemory {
        pool.withLock { $0.popLast() } ?? WriterMemory(byteCapacity: 2048, levelCapacity: 16)
    }

    /// Returns the buffers to the pool, or deallocates them if they are too large or the pool is full.
    func recycle() {
        let isSmall = byteCapacity <= Self.maximumPooled.bytes && levelCapacity <= Self.maximumPooled.levels
        let isKept =
            isSmall
            && Self.pool.withLock { pool in
                guard pool.count < Self.maximumPoolCount else { return false }
                pool.append(self)
                return true
            }
        if !isKept { deallocate() }
    }
}
