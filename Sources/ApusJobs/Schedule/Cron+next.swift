public import FoundationEssentials

extension Cron {
    /// The first time after a date at which the schedule runs. It is a whole second.
    ///
    /// - Parameter date: The date. A run at exactly this date does not count.
    /// - Returns: `nil` if there is none within 400 years, after which the calendar repeats. That happens only if the
    ///   clocks of the zone skip each time that matches. Also `nil` if the date is over 30,000 years away.
    public func next(after date: Date) -> Date? {
        // Counted from 2001, as dates are: counted from 1970, one just before a whole second could be rounded up to it.
        let seconds = date.timeIntervalSinceReferenceDate
        guard seconds.magnitude < 1e12 else { return nil }
        let run = firstRun(atOrAfter: Int(seconds.rounded(.down)) + Self.referenceDate + 1)
        return run.map { Date(timeIntervalSinceReferenceDate: Double($0 - Self.referenceDate)) }
    }

    private static let referenceDate = Int(Date.timeIntervalBetween1970AndReferenceDate)

    /// The first run that is not before a time, in seconds since 1970.
    private func firstRun(atOrAfter time: Int) -> Int? {
        var time = time
        let limit = time + LocalSchedule.yearsOfCalendar * 366 * 86400
        while time < limit {
            // Pass over all times at which no zone could show a local time that matches.
            let offsets = ZoneRules.possibleOffsets
            guard let localTime = schedule.first(atOrAfter: time + offsets.lowerBound) else { return nil }
            time = max(time, localTime - offsets.upperBound)

            let period = zone.period(at: time)
            if let run = firstRun(atOrAfter: time, in: period) { return run }
            guard let end = period.end else { return nil }
            time = end
        }
        return nil
    }

    /// The first run that is not before a time, in the period of one offset that contains it.
    private func firstRun(atOrAfter time: Int, in period: OffsetPeriod) -> Int? {
        var localTime = time + period.offset
        if !schedule.hours.beginsWithAsterisk, let start = period.start, let previousOffset = period.previousOffset {
            let shown = start + previousOffset
            if time == start, let skipped = schedule.first(atOrAfter: shown), skipped < localTime { return start }
            localTime = max(localTime, shown)
        }
        guard let match = schedule.first(atOrAfter: localTime) else { return nil }
        let run = match - period.offset
        return period.end.map { run < $0 } ?? true ? run : nil
    }
}
