import ApusCore

extension CivilDate {
    /// The number of days from 1970-01-01 to the first day of a month.
    static func daysSince1970(toFirstOf month: Int, of year: Int) -> Int {
        var date = CivilDate(daysSince1970: 0)
        (date.year, date.month) = (year, month)
        return date.daysSince1970
    }

    /// The number of days from 1970-01-01 to the first day of the month after a month.
    static func daysSince1970(toFirstAfter month: Int, of year: Int) -> Int {
        month == 12 ? daysSince1970(toFirstOf: 1, of: year + 1) : daysSince1970(toFirstOf: month + 1, of: year)
    }

    /// The day of the week, from 0 (Sunday) to 6.
    /// - Parameter days: The number of days since 1970-01-01, which was a Thursday.
    static func weekday(daysSince1970 days: Int) -> Int {
        (days + 4).floorDivided(by: 7).remainder
    }
}
