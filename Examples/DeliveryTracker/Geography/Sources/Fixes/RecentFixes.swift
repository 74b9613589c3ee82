import FoundationEssentials

/// The last fixes of a device, in the order of their times.
struct RecentFixes: Sendable {
    private static let capacity = 128

    private(set) var fixes: [Fix] = []

    /// Whether fixes older than the first one may have been forgotten.
    var isFull: Bool { fixes.count == Self.capacity }

    mutating func insert(_ fix: Fix) {
        if isFull { fixes.removeFirst() }
        fixes.insert(fix, at: index(after: fix.time))
    }

    func contains(_ time: Date) -> Bool {
        let index = index(after: time)
        return index > 0 && fixes[index - 1].time == time
    }

    /// Returns the last fix that is not newer than a time, and the first one that is.
    func neighbors(of time: Date) -> [Fix] {
        let index = index(after: time)
        return Array(fixes[max(0, index - 1)..<min(fixes.count, index + 1)])
    }

    /// The index of the first fix that is newer than a time. Most fixes come in order, and are last.
    private func index(after time: Date) -> Int {
        (fixes.lastIndex { $0.time <= time } ?? -1) + 1
    }
}
