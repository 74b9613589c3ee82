/// The offset of a time zone from UTC at every time.
///
/// Times are in seconds since 1970 in UTC, offsets in seconds east of UTC.
struct ZoneRules: Sendable {
    /// UTC, which needs no files.
    static let utc = ZoneRules(initialOffset: 0, changes: [], laterRules: nil)

    /// The offsets that a zone can have, within which RFC 9636 §3.2 asks them to be.
    static let possibleOffsets = -89_999...93_599

    /// The offset before the first change.
    let initialOffset: Int
    /// The changes, in the order of time.
    let changes: [OffsetChange]
    /// The rules from the last change on.
    let laterRules: PosixTimeZone?

    /// The offset at a time.
    func offset(at time: Int) -> Int {
        if let laterRules, isLater(time) { return laterRules.offset(at: time) }
        let count = changeCount(through: time)
        return count == 0 ? initialOffset : changes[count - 1].offset
    }

    /// The longest known period of one offset that contains a time.
    func period(at time: Int) -> OffsetPeriod {
        let count = changeCount(through: time)
        var start = count == 0 ? nil : changes[count - 1].time
        var end = count == changes.count ? nil : changes[count].time
        if let laterRules, isLater(time) {
            let laterStart = laterRules.change(atOrBefore: time)?.time
            start = [start, laterStart].compactMap(\.self).max()
            end = laterRules.changeTime(after: time)
        }
        return OffsetPeriod(
            start: start, end: end, offset: offset(at: time), previousOffset: start.map { offset(at: $0 - 1) })
    }

    private func isLater(_ time: Int) -> Bool {
        changes.last.map { time >= $0.time } ?? true
    }

    /// The number of changes at a time or before it, found by binary search.
    private func changeCount(through time: Int) -> Int {
        var (low, high) = (0, changes.count)
        while low < high {
            let middle = (low + high) / 2
            if changes[middle].time <= time { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// A change of the offset of a time zone.
struct OffsetChange: Equatable, Sendable {
    let time: Int
    /// The offset from this time on.
    let offset: Int
}

/// A time during which the offset of a time zone does not change.
struct OffsetPeriod: Equatable, Sendable {
    /// The first second, `nil` if there was no change before.
    let start: Int?
    /// The second after the last one, `nil` if no change follows.
    let end: Int?
    let offset: Int
    /// The offset before ``start``.
    let previousOffset: Int?
}
