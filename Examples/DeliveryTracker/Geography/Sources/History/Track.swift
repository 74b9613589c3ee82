package import FoundationEssentials

/// Where a device has been.
package struct Track: Sendable {
    /// What the track is called in exports.
    package var name: String
    /// In the order of their times.
    package private(set) var fixes: [Fix]

    /// - Parameter fixes: In any order.
    package init(name: String, fixes: [Fix] = []) {
        self.name = name
        self.fixes = fixes.sorted { $0.time < $1.time }
    }

    /// Adds a fix, which may be older than others.
    package mutating func insert(_ fix: Fix) {
        let index = fixes.lastIndex { $0.time <= fix.time }
        fixes.insert(fix, at: index.map { $0 + 1 } ?? 0)
    }

    /// Removes the fixes from before a time, by the clock of the server, so that a wrong device clock keeps nothing.
    package mutating func removeFixes(receivedBefore time: Date) {
        fixes.removeAll { $0.receivedAt < time }
    }

    /// The parts of the track between gaps.
    /// - Parameter gap: The time between two fixes in seconds, above which the way between them is not known.
    package func segments(gap: TimeInterval = 300) -> [ArraySlice<Fix>] {
        var segments: [ArraySlice<Fix>] = []
        var start = fixes.startIndex
        for index in fixes.indices.dropFirst()
        where fixes[index].time.timeIntervalSince(fixes[index - 1].time) > gap {
            segments.append(fixes[start..<index])
            start = index
        }
        if start < fixes.endIndex { segments.append(fixes[start...]) }
        return segments
    }
}
