import ApusCore

/// The local times that a cron expression selects, whatever the time zone.
///
/// Local times are in seconds since 1970-01-01 00:00 in local time. Each day has 86,400 of them.
struct LocalSchedule: Sendable {
    let seconds: CronValues
    let minutes: CronValues
    let hours: CronValues
    let daysOfMonth: CronValues
    let months: CronValues
    let daysOfWeek: CronValues

    /// The number of years after which the calendar repeats, days of the week included.
    static let yearsOfCalendar = 400

    /// The first selected local time that is not before a local time, within the following 400 years.
    func first(atOrAfter localTime: Int) -> Int? {
        let (day, time) = localTime.floorDivided(by: 86400)
        guard let first = firstDay(atOrAfter: day) else { return nil }
        if first == day, let time = firstTimeOfDay(atOrAfter: time) { return day * 86400 + time }
        let next = first == day ? firstDay(atOrAfter: day + 1) : first
        guard let next, let time = firstTimeOfDay(atOrAfter: 0) else { return nil }
        return next * 86400 + time
    }

    private func firstTimeOfDay(atOrAfter time: Int) -> Int? {
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60)
        guard let firstMinute = minutes.first(atOrAfter: 0), let firstSecond = seconds.first(atOrAfter: 0) else {
            return nil
        }
        if hours.contains(hour) {
            if minutes.contains(minute), let second = seconds.first(atOrAfter: second) {
                return hour * 3600 + minute * 60 + second
            }
            if let minute = minutes.first(atOrAfter: minute + 1) { return hour * 3600 + minute * 60 + firstSecond }
        }
        return hours.first(atOrAfter: hour + 1).map { $0 * 3600 + firstMinute * 60 + firstSecond }
    }

    /// The first selected day that is not before a day, both in days since 1970-01-01.
    private func firstDay(atOrAfter day: Int) -> Int? {
        var date = CivilDate(daysSince1970: day)
        let lastYear = date.year + Self.yearsOfCalendar
        while date.year <= lastYear {
            if months.contains(date.month) {
                let first = CivilDate.daysSince1970(toFirstOf: date.month, of: date.year)
                if let day = days(of: date, first: first).first(atOrAfter: date.day) { return first + day - 1 }
            }
            date.day = 1
            if let month = months.first(atOrAfter: date.month + 1) {
                date.month = month
            } else {
                (date.year, date.month) = (date.year + 1, months.first(atOrAfter: 1) ?? 1)
            }
        }
        return nil
    }

    /// The selected days of the month of a date.
    /// - Parameter first: The first day of the month, in days since 1970-01-01.
    private func days(of date: CivilDate, first: Int) -> CronValues {
        let count = CivilDate.daysSince1970(toFirstAfter: date.month, of: date.year) - first
        let existing: UInt64 = (1 << UInt64(count) - 1) << 1
        let byWeek = CronValues.repeatedWeek(daysOfWeek.bits, firstWeekday: CivilDate.weekday(daysSince1970: first))
        let isEitherEnough = !daysOfMonth.beginsWithAsterisk && !daysOfWeek.beginsWithAsterisk
        let selected = isEitherEnough ? daysOfMonth.bits | byWeek : daysOfMonth.bits & byWeek
        return CronValues(bits: selected & existing)
    }
}

extension CronValues {
    /// The days of a month that fall on days of the week.
    /// - Parameters:
    ///   - weekdays: Bits 0 (Sunday) to 6.
    ///   - firstWeekday: The day of the week of the first day of the month.
    fileprivate static func repeatedWeek(_ weekdays: UInt64, firstWeekday: Int) -> UInt64 {
        let sixWeeks = (0..<6).reduce(0 as UInt64) { $0 | weekdays << UInt64($1 * 7) }
        // Bit 1 is the first day of the month.
        return (sixWeeks >> UInt64(firstWeekday)) << 1
    }
}
