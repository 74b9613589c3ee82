import ApusCore

/// The rules of a POSIX `TZ` string, such as `CET-1CEST,M3.5.0,M10.5.0/3`, which hold in every year.
///
/// Offsets are in seconds east of UTC, the opposite of the sign that the string has. Times are in seconds since 1970.
struct PosixTimeZone: Equatable, Sendable {
    let standardOffset: Int
    let daylightSaving: DaylightSaving?

    /// Daylight saving time. It may lie behind standard time, as in `IST-1GMT0,M10.5.0,M3.5.0/1`.
    struct DaylightSaving: Equatable, Sendable {
        let offset: Int
        /// In standard time.
        let start: YearlyTime
        /// In daylight saving time.
        let end: YearlyTime
    }

    /// A local time in each year.
    struct YearlyTime: Equatable, Sendable {
        let day: YearlyDay
        /// Seconds since midnight, up to a week before or after the day.
        let time: Int
    }

    /// A day in each year.
    enum YearlyDay: Equatable, Sendable {
        /// `Mm.w.d`: the week-th such day of the week of a month; the fifth is the last. Sunday is 0.
        case weekday(month: Int, week: Int, weekday: Int)
        /// `Jn`: from 1 to 365. February 29 is not counted.
        case dayWithoutLeapDay(Int)
        /// `n`: from 0 to 365. February 29 is counted.
        case dayWithLeapDay(Int)
    }

    func offset(at time: Int) -> Int {
        change(atOrBefore: time)?.offset ?? standardOffset
    }

    /// The last change at a time or before it.
    func change(atOrBefore time: Int) -> OffsetChange? {
        var latest: OffsetChange?
        forEachChange(around: time) { change in
            // Daylight saving time all year ends at the moment at which it starts again: the start, which is seen after
            // the end, prevails.
            if change.time <= time, latest.map({ change.time >= $0.time }) ?? true { latest = change }
        }
        return latest
    }

    /// The first change after a time.
    func changeTime(after time: Int) -> Int? {
        var earliest: Int?
        forEachChange(around: time) { change in
            if change.time > time, earliest.map({ change.time < $0 }) ?? true { earliest = change.time }
        }
        return earliest
    }

    /// Visits the changes of the years around a time: first all ends of daylight saving time, then all starts.
    private func forEachChange(around time: Int, _ body: (OffsetChange) -> Void) {
        guard let daylightSaving else { return }
        // A change can lie a week outside its year, so that the last one before a time can be of the year before last.
        let year = CivilDate(daysSince1970: time.floorDivided(by: 86400).quotient).year
        let years = year - 2...year + 2
        for year in years {
            let time = daylightSaving.end.localTime(in: year) - daylightSaving.offset
            body(OffsetChange(time: time, offset: standardOffset))
        }
        for year in years {
            let time = daylightSaving.start.localTime(in: year) - standardOffset
            body(OffsetChange(time: time, offset: daylightSaving.offset))
        }
    }
}

extension PosixTimeZone.YearlyTime {
    /// The local time in a year, in seconds since 1970-01-01 00:00 in local time.
    fileprivate func localTime(in year: Int) -> Int {
        day.daysSince1970(in: year) * 86400 + time
    }
}

extension PosixTimeZone.YearlyDay {
    fileprivate func daysSince1970(in year: Int) -> Int {
        switch self {
        case .weekday(let month, let week, let weekday):
            let first = CivilDate.daysSince1970(toFirstOf: month, of: year)
            let daysToWeekday = (weekday - CivilDate.weekday(daysSince1970: first) + 7) % 7
            let day = first + daysToWeekday + (week - 1) * 7
            return day < CivilDate.daysSince1970(toFirstAfter: month, of: year) ? day : day - 7
        case .dayWithoutLeapDay(let number):
            let march = CivilDate.daysSince1970(toFirstOf: 3, of: year)
            // Without February 29, March 1 is day 60 of every year.
            return number >= 60 ? march + number - 60 : CivilDate.daysSince1970(toFirstOf: 1, of: year) + number - 1
        case .dayWithLeapDay(let number):
            return CivilDate.daysSince1970(toFirstOf: 1, of: year) + number
        }
    }
}
