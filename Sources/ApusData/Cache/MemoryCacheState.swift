import ApusCore

/// The values of a cache in memory, in the order of their last use.
struct MemoryCacheState {
    private struct Entry {
        let name: ExactString
        /// `nil` marks a removal: loads that have begun before it must not store their value.
        let content: CacheContent?
        let version: UInt64
        let generations: [UInt64]
        let expiresAt: Duration
        /// The neighbours in the order of use.
        var newer: Int?
        var older: Int?

        var size: Int {
            if case .value(let bytes) = content { name.text.utf8.count + bytes.count } else { name.text.utf8.count }
        }
    }

    private let maximumValues: Int
    private let maximumBytes: Int
    private var entries: [Entry?] = []
    private var freeIndices: [Int] = []
    private var indices: [ExactString: Int] = [:]
    private var newest: Int?
    private var oldest: Int?
    private var bytes = 0
    private var generations: [CacheGroup: UInt64] = [:]
    /// The last version or generation that was given. None is given twice.
    private var lastNumber: UInt64 = 0
    /// The version of keys that are not stored. Changes when the mark of a removal gives way early or a value is too large to
    /// be stored, so that no load that has begun before stores its value.
    private var missingVersion: UInt64 = 0

    init(maximumValues: Int, maximumBytes: Int) {
        self.maximumValues = maximumValues
        self.maximumBytes = maximumBytes
    }

    var count: Int { indices.count }

    private mutating func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    // MARK: Lookups

    mutating func lookUp(_ key: CacheKey, now: Duration) -> CacheLookup {
        let current = key.groups.map { generation(of: $0) }
        guard let index = indices[ExactString(key.name)], let entry = entries[index] else {
            return CacheLookup(content: nil, ticket: CacheTicket(version: missingVersion, generations: current))
        }
        guard entry.expiresAt > now else {
            remove(at: index)
            return CacheLookup(content: nil, ticket: CacheTicket(version: missingVersion, generations: current))
        }
        let ticket = CacheTicket(version: entry.version, generations: current)
        guard let content = entry.content, entry.generations == current else {
            return CacheLookup(content: nil, ticket: ticket)
        }
        use(index)
        return CacheLookup(content: content, ticket: ticket)
    }

    /// The generation of a group. A group without one gets a new one, so that values of earlier generations are void.
    private mutating func generation(of group: CacheGroup) -> UInt64 {
        if let generation = generations[group] { return generation }
        // Groups cannot be told from those that are not used any more, so all are forgotten together: their values are void.
        if generations.count >= maximumGenerations { generations.removeAll(keepingCapacity: true) }
        let generation = nextNumber()
        generations[group] = generation
        return generation
    }

    private var maximumGenerations: Int { 1024 + 4 * maximumValues }

    // MARK: Changes

    mutating func store(
        _ content: CacheContent, for key: CacheKey, until expiresAt: Duration, _ ticket: CacheTicket,
        _ condition: CacheCondition, now: Duration
    ) {
        if condition == .unchanged {
            let version = indices[ExactString(key.name)].flatMap { entries[$0] }
                .map { $0.expiresAt > now ? $0.version : missingVersion }
            guard version ?? missingVersion == ticket.version else { return }
        }
        insert(key.name, content, ticket.generations, expiresAt)
    }

    mutating func remove(_ key: CacheKey, until expiresAt: Duration) { insert(key.name, nil, [], expiresAt) }

    mutating func remove(_ group: CacheGroup) { generations[group] = nil }

    private mutating func insert(
        _ name: String, _ content: CacheContent?, _ generations: [UInt64], _ expiresAt: Duration
    ) {
        let name = ExactString(name)
        if let index = indices[name] { remove(at: index) }
        let entry = Entry(
            name: name, content: content, version: nextNumber(), generations: generations, expiresAt: expiresAt)
        guard entry.size <= maximumBytes else {
            missingVersion = nextNumber()
            return
        }
        while indices.count >= maximumValues || bytes + entry.size > maximumBytes, let oldest {
            if entries[oldest]?.content == nil { missingVersion = nextNumber() }
            remove(at: oldest)
        }
        let index = freeIndices.popLast() ?? entries.count
        if index == entries.count { entries.append(entry) } else { entries[index] = entry }
        indices[name] = index
        bytes += entry.size
        link(index)
    }

    private mutating func remove(at index: Int) {
        guard let entry = entries[index] else { return }
        unlink(index)
        entries[index] = nil
        freeIndices.append(index)
        indices[entry.name] = nil
        bytes -= entry.size
    }

    // MARK: Order of use

    private mutating func use(_ index: Int) {
        guard newest != index else { return }
        unlink(index)
        link(index)
    }

    private mutating func link(_ index: Int) {
        entries[index]?.newer = nil
        entries[index]?.older = newest
        if let newest { entries[newest]?.newer = index } else { oldest = index }
        newest = index
    }

    private mutating func unlink(_ index: Int) {
        guard let entry = entries[index] else { return }
        if let newer = entry.newer { entries[newer]?.older = entry.older } else { newest = entry.older }
        if let older = entry.older { entries[older]?.newer = entry.newer } else { oldest = entry.newer }
    }
}
