import FoundationEssentials
import Testing

@testable import ApusJobs

@Suite struct CronNextTests {
    @Test(arguments: [
        ("* * * * *", "2026-01-31T23:59:30Z", "2026-02-01T00:00:00Z"),
        ("* * * * * *", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        ("30 3 * * *", "2026-01-01T03:29:59Z", "2026-01-01T03:30:00Z"),
        ("30 3 * * *", "2026-01-01T03:30:00Z", "2026-01-02T03:30:00Z"),
        ("15,45 30 3 * * *", "2026-01-01T03:30:15Z", "2026-01-01T03:30:45Z"),
        ("59 59 23 31 12 *", "2026-12-31T23:59:59Z", "2027-12-31T23:59:59Z"),
        ("*/25 * * * *", "2026-01-01T00:50:00Z", "2026-01-01T01:00:00Z"),
        ("5/15 * * * *", "2026-01-01T00:50:00Z", "2026-01-01T01:05:00Z"),
        ("  0\t12  *\t* *  ", "2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z"),
        // The ends of months.
        ("0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"),
        ("0 0 30 * *", "2026-01-30T00:00:00Z", "2026-03-30T00:00:00Z"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"),
        ("0 0 29 2 *", "2396-02-29T00:00:00Z", "2400-02-29T00:00:00Z"),
        // Both days must match if one begins with an asterisk.
        ("0 0 29 2 */7", "2032-02-29T00:00:00Z", "2060-02-29T00:00:00Z"),
        ("0 0 29 2 */7", "2088-02-29T00:00:00Z", "2128-02-29T00:00:00Z"),
        ("0 0 */2 * FRI", "2026-01-01T00:00:00Z", "2026-01-09T00:00:00Z"),
        ("0 0 1 * */2", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        ("0 0 1 * */3", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("0 0 1 * */3", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
        ("0 0 1 * */3", "2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z"),
        // Otherwise either is enough.
        ("0 0 13 * FRI", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        ("0 0 13 * FRI", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"),
        ("0 0 1-31 * MON", "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"),
        ("0 0 31 2 MON", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"),
        ("0 0 1 1 0-7", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        // Names, and both numbers of Sunday.
        ("0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        ("0 0 * * 0", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        ("0 0 * * 5-7", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"),
        ("0 0 * * 5-7", "2026-01-04T00:00:00Z", "2026-01-09T00:00:00Z"),
        ("0 0 * * sat-sun", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"),
        ("0 0 1 aug *", "2026-08-01T00:00:00Z", "2027-08-01T00:00:00Z"),
        ("0 0 1 JAN,DEC *", "2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        // Macros.
        (" @hourly\t", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"),
        ("@daily", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        ("@midnight", "2026-01-01T12:00:00Z", "2026-01-02T00:00:00Z"),
        ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        ("@monthly", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        ("@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("@annually", "2026-06-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        // Before 1970, and far from it.
        ("*/15 * * * *", "1969-12-31T23:50:00Z", "1970-01-01T00:00:00Z"),
        ("30 3 * * *", "1900-02-28T04:00:00Z", "1900-03-01T03:30:00Z"),
        ("0 0 29 2 *", "9996-03-01T00:00:00Z", "10000-02-29T00:00:00Z"),
    ])
    func `The next run is the first time that matches`(expression: String, date: String, next: String) throws {
        #expect(try Cron(expression).next(after: instant(date)) == instant(next))
    }

    @Test func `A run is strictly after the date, however near`() throws {
        let everySecond = try Cron("* * * * * *")
        for second in [-1_000_000_000.0, -1, 0, 1, 800_000_000] {
            let date = Date(timeIntervalSinceReferenceDate: second)
            #expect(everySecond.next(after: Date(timeIntervalSinceReferenceDate: second.nextDown)) == date)
            #expect(everySecond.next(after: date) == date + 1)
            #expect(everySecond.next(after: date + 0.5) == date + 1)
        }
    }

    @Test(arguments: [
        Double.nan, .infinity, -.infinity, 1e12, -1e12, .greatestFiniteMagnitude, -.greatestFiniteMagnitude,
    ])
    func `There is no run after a date that is out of range`(seconds: Double) throws {
        let date = Date(timeIntervalSinceReferenceDate: seconds)
        #expect(try Cron("* * * * *").next(after: date) == nil)
    }

    @Test(.timeZones, arguments: ["UTC", "Europe/Berlin", "America/Sao_Paulo"])
    func `There is a run after the earliest and the latest dates`(zone: String) throws {
        for expression in ["* * * * *", "0 0 29 2 */7", "0 12 1 1 *"] {
            let schedule = try Cron(expression, timeZone: zone)
            for date in [-999_999_999_999, Date.distantPast.timeIntervalSinceReferenceDate, 999_999_999_999] {
                let date = Date(timeIntervalSinceReferenceDate: date)
                #expect(try #require(schedule.next(after: date)) > date)
            }
            #expect(schedule.next(after: .distantFuture) != nil)
        }
    }

    @Test func `A local time that the zone always skips is never found`() throws {
        // Clocks go forward at midnight of day 59, counted from 0, which in leap years is February 29.
        let rules = try #require(PosixTimeZone("AAA0BBB-1,59/0,J300".utf8))
        func schedule(_ expression: String) throws -> Cron {
            try Cron(
                expression: expression, timeZone: "Test", schedule: LocalSchedule(expression),
                zone: ZoneRules(initialOffset: 0, changes: [], laterRules: rules))
        }
        let start = try instant("2026-01-01T00:00:00Z")
        #expect(try schedule("30 */24 29 2 *").next(after: start) == nil)
        #expect(try schedule("30 0 29 2 *").next(after: start) == instant("2028-02-29T00:00:00Z"))
    }
}
