import FoundationEssentials
import Testing

@testable import ApusJobs

@Suite(.timeZones) struct CronDaylightSavingTests {
    /// Hours that do not begin with `*`, around changes forward: a zone, an expression, a date and the next runs.
    @Test(arguments: [
        // 02:00 to 03:00.
        (
            "Europe/Berlin", "30 2 * * *", "2024-03-30T12:00:00+01:00",
            ["2024-03-31T03:00:00+02:00", "2024-04-01T02:30:00+02:00"]
        ),
        (
            "Europe/Berlin", "*/10 2 * * *", "2024-03-30T12:00:00+01:00",
            ["2024-03-31T03:00:00+02:00", "2024-04-01T02:00:00+02:00"]
        ),
        (
            "Europe/Berlin", "0,30 2-3 * * *", "2024-03-30T12:00:00+01:00",
            ["2024-03-31T03:00:00+02:00", "2024-03-31T03:30:00+02:00", "2024-04-01T02:00:00+02:00"]
        ),
        (
            "Europe/Berlin", "0 0-23 * * *", "2024-03-31T00:30:00+01:00",
            ["2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00", "2024-03-31T04:00:00+02:00"]
        ),
        (
            "Europe/Berlin", "* * 2 * * SUN", "2024-03-30T12:00:00+01:00",
            ["2024-03-31T03:00:00+02:00", "2024-04-07T02:00:00+02:00", "2024-04-07T02:00:01+02:00"]
        ),
        ("Europe/Berlin", "0 3 31 3 *", "2024-03-30T12:00:00+01:00", ["2024-03-31T03:00:00+02:00"]),
        ("Europe/Berlin", "59 59 2 31 3 *", "2024-03-30T12:00:00+01:00", ["2024-03-31T03:00:00+02:00"]),
        // Standard time in summer: the change is to it.
        ("Europe/Dublin", "30 1 * * *", "2024-03-30T12:00:00Z", ["2024-03-31T02:00:00+01:00"]),
        // Two hours.
        (
            "Antarctica/Troll", "30 1,2 * * *", "2024-03-30T12:00:00Z",
            ["2024-03-31T03:00:00+02:00", "2024-04-01T01:30:00+02:00"]
        ),
        // 30 minutes.
        (
            "Australia/Lord_Howe", "15 2 * * *", "2024-10-05T12:00:00+10:30",
            ["2024-10-06T02:30:00+11:00", "2024-10-07T02:15:00+11:00"]
        ),
        ("Australia/Lord_Howe", "30 2 * * *", "2024-10-05T12:00:00+10:30", ["2024-10-06T02:30:00+11:00"]),
        ("Australia/Lord_Howe", "45 2 * * *", "2024-10-05T12:00:00+10:30", ["2024-10-06T02:45:00+11:00"]),
        // At midnight.
        (
            "America/Sao_Paulo", "0 0 * * *", "2018-11-03T12:00:00-03:00",
            ["2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"]
        ),
        ("America/Sao_Paulo", "59 23 * * *", "2018-11-03T12:00:00-03:00", ["2018-11-03T23:59:00-03:00"]),
        ("Africa/Cairo", "30 0 * * FRI", "2024-04-25T12:00:00+02:00", ["2024-04-26T01:00:00+03:00"]),
        ("Africa/Cairo", "0 0 26 4 *", "2024-04-25T12:00:00+02:00", ["2024-04-26T01:00:00+03:00"]),
        // At one minute past midnight.
        (
            "America/St_Johns", "0,30 0 * * *", "2011-03-12T12:00:00-03:30",
            ["2011-03-13T00:00:00-03:30", "2011-03-13T01:01:00-02:30", "2011-03-14T00:00:00-02:30"]
        ),
        // A whole day.
        (
            "Pacific/Apia", "0 12 * * *", "2011-12-29T12:00:00-10:00",
            ["2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"]
        ),
        ("Pacific/Apia", "0 12 30 12 *", "2011-12-29T12:00:00-10:00", ["2011-12-31T00:00:00+14:00"]),
        ("Pacific/Apia", "0 0 * * *", "2011-12-29T00:00:00-10:00", ["2011-12-31T00:00:00+14:00"]),
    ])
    func `A local time that the clocks skip runs once, at the moment of the change`(
        zone: String, expression: String, date: String, runs: [String]
    ) throws {
        let schedule = try Cron(expression, timeZone: zone)
        #expect(try schedule.runs(after: instant(date), count: runs.count) == runs.map(instant))
    }

    /// Hours that do not begin with `*`, around changes back: a zone, an expression, a date and the next runs.
    @Test(arguments: [
        // 03:00 to 02:00.
        (
            "Europe/Berlin", "30 2 * * *", "2024-10-26T12:00:00+02:00",
            ["2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"]
        ),
        ("Europe/Berlin", "30 2 * * *", "2024-10-27T02:45:00+02:00", ["2024-10-28T02:30:00+01:00"]),
        ("Europe/Berlin", "30 2 * * *", "2024-10-27T02:15:00+01:00", ["2024-10-28T02:30:00+01:00"]),
        ("Europe/Berlin", "0 2 * * *", "2024-10-27T02:00:00+02:00", ["2024-10-28T02:00:00+01:00"]),
        (
            "Europe/Berlin", "*/30 2,3 * * *", "2024-10-26T12:00:00+02:00",
            [
                "2024-10-27T02:00:00+02:00", "2024-10-27T02:30:00+02:00", "2024-10-27T03:00:00+01:00",
                "2024-10-27T03:30:00+01:00",
            ]
        ),
        ("Europe/Berlin", "0 0-23 * * *", "2024-10-27T02:00:00+02:00", ["2024-10-27T03:00:00+01:00"]),
        (
            "Europe/Dublin", "30 1 * * *", "2024-10-26T12:00:00+01:00",
            ["2024-10-27T01:30:00+01:00", "2024-10-28T01:30:00Z"]
        ),
        (
            "Antarctica/Troll", "30 1,2 * * *", "2024-10-26T12:00:00+02:00",
            ["2024-10-27T01:30:00+02:00", "2024-10-27T02:30:00+02:00", "2024-10-28T01:30:00Z"]
        ),
        (
            "Australia/Lord_Howe", "45 1 * * *", "2024-04-06T12:00:00+11:00",
            ["2024-04-07T01:45:00+11:00", "2024-04-08T01:45:00+10:30"]
        ),
        ("Australia/Lord_Howe", "0 2 * * *", "2024-04-06T12:00:00+11:00", ["2024-04-07T02:00:00+10:30"]),
        // At midnight: an hour of the day before occurs twice.
        (
            "America/Sao_Paulo", "30 23 * * *", "2018-02-17T12:00:00-02:00",
            ["2018-02-17T23:30:00-02:00", "2018-02-18T23:30:00-03:00"]
        ),
        ("America/Sao_Paulo", "0 0 * * *", "2018-02-17T12:00:00-02:00", ["2018-02-18T00:00:00-03:00"]),
        (
            "Africa/Cairo", "30 23 31 10 *", "2024-10-31T12:00:00+03:00",
            ["2024-10-31T23:30:00+03:00", "2025-10-31T23:30:00+02:00"]
        ),
        ("Africa/Cairo", "0 0 1 11 *", "2024-10-31T12:00:00+03:00", ["2024-11-01T00:00:00+02:00"]),
    ])
    func `A local time that occurs twice runs the first time only`(
        zone: String, expression: String, date: String, runs: [String]
    ) throws {
        let schedule = try Cron(expression, timeZone: zone)
        #expect(try schedule.runs(after: instant(date), count: runs.count) == runs.map(instant))
    }

    @Test(arguments: [
        ("Europe/Berlin", "2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00", 23),
        ("Europe/Berlin", "2024-10-27T00:00:00+02:00", "2024-10-28T00:00:00+01:00", 25),
        ("Europe/Berlin", "2024-06-01T00:00:00+02:00", "2024-06-02T00:00:00+02:00", 24),
        ("Europe/Dublin", "2024-03-31T00:00:00Z", "2024-04-01T00:00:00+01:00", 23),
        ("Antarctica/Troll", "2024-03-31T00:00:00Z", "2024-04-01T00:00:00+02:00", 22),
        ("America/Sao_Paulo", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00", 23),
        ("America/Sao_Paulo", "2018-02-17T00:00:00-02:00", "2018-02-18T00:00:00-03:00", 25),
        ("Pacific/Apia", "2011-12-29T00:00:00-10:00", "2012-01-01T00:00:00+14:00", 48),
    ])
    func `A schedule of all hours runs in each real hour`(zone: String, start: String, end: String, count: Int) throws {
        for (expression, runsPerHour) in [("0 * * * *", 1), ("*/15 * * * *", 4), ("0 */5 * * * *", 12)] {
            let schedule = try Cron(expression, timeZone: zone)
            let (start, end) = try (instant(start) - 1, instant(end))
            let runs = schedule.runs(after: start, before: end)
            #expect(runs.count == count * runsPerHour)
            #expect(zip(runs, runs.dropFirst()).allSatisfy { $1.timeIntervalSince($0) == 3600 / Double(runsPerHour) })
        }
    }

    @Test(arguments: [
        // A skipped time does not run, a repeated one runs twice.
        (
            "Europe/Berlin", "30 */2 * * *", "2024-03-31T00:30:00+01:00",
            ["2024-03-31T04:30:00+02:00", "2024-03-31T06:30:00+02:00"]
        ),
        (
            "Europe/Berlin", "30 */2 * * *", "2024-10-27T00:30:00+02:00",
            ["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00", "2024-10-27T04:30:00+01:00"]
        ),
        (
            "Europe/Berlin", "30 2 * * * *", "2024-10-27T01:30:00+02:00",
            ["2024-10-27T02:02:30+02:00", "2024-10-27T02:02:30+01:00", "2024-10-27T03:02:30+01:00"]
        ),
        // With a change of 30 minutes, full hours are half an hour more or less apart.
        (
            "Australia/Lord_Howe", "0 * * * *", "2024-10-06T01:00:00+10:30",
            ["2024-10-06T03:00:00+11:00", "2024-10-06T04:00:00+11:00"]
        ),
        (
            "Australia/Lord_Howe", "0 * * * *", "2024-04-07T01:00:00+11:00",
            ["2024-04-07T02:00:00+10:30", "2024-04-07T03:00:00+10:30"]
        ),
        (
            "Australia/Lord_Howe", "*/30 * * * *", "2024-04-07T01:00:00+11:00",
            ["2024-04-07T01:30:00+11:00", "2024-04-07T01:30:00+10:30", "2024-04-07T02:00:00+10:30"]
        ),
        // A day that does not exist has no hours.
        ("Pacific/Apia", "0 * 30 12 *", "2011-12-29T00:00:00-10:00", ["2012-12-30T00:00:00+14:00"]),
    ])
    func `A schedule whose hour begins with an asterisk follows elapsed time`(
        zone: String, expression: String, date: String, runs: [String]
    ) throws {
        let schedule = try Cron(expression, timeZone: zone)
        #expect(try schedule.runs(after: instant(date), count: runs.count) == runs.map(instant))
    }
}
