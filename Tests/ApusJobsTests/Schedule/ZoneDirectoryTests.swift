import FoundationEssentials
import Testing

@testable import ApusJobs

@Suite struct ZoneDirectoryTests {
    @Test(arguments: ["UTC", "Etc/UTC", "GMT"])
    func `UTC needs no files`(name: String) throws {
        let zone = try ZoneDirectory(paths: []).rules(named: name)
        #expect(zone.period(at: 0) == OffsetPeriod(start: nil, end: nil, offset: 0, previousOffset: nil))
    }

    @Test(arguments: [
        "", "/", "/Europe/Berlin", "Europe/", "Europe//Berlin", "..", "../etc/passwd", "Europe/../../etc/passwd", ".",
        "zone.tab", "Europe/Berlin\0", "Europe Berlin", "Europe\\Berlin", "Europe/Bérlin", "Europe/Berlin\n", "~root",
        String(repeating: "a", count: 101), String(repeating: "/a", count: 1_000_000),
    ])
    func `A name that could lead out of the directory is rejected`(name: String) {
        #expect(throws: ZoneError.malformedName(name)) { try ZoneDirectory.system.rules(named: name) }
    }

    @Test func `Without time zone files, the error names the package`() {
        let error = #expect(throws: ZoneError.self) {
            try ZoneDirectory(paths: ["/nonexistent/a", "/nonexistent/b"]).rules(named: "Europe/Berlin")
        }
        #expect(
            error?.description == """
                The time zone "Europe/Berlin" cannot be read: there is no directory /nonexistent/a or /nonexistent/b. \
                Install the package tzdata, or set TZDIR to the directory of the time zone files.
                """)
    }

    @Test(.timeZones, arguments: ["Europe/Atlantis", "Europe", "Europe/Berlin/Mitte"])
    func `A zone without a file is unknown`(name: String) {
        let error = #expect(throws: ZoneError.self) { try ZoneDirectory.system.rules(named: name) }
        #expect(error?.description.hasPrefix("The time zone \"\(name)\" is unknown: it is not in /") == true)
    }

    @Test func `The first directory that has the zone is used, and a malformed file is named`() throws {
        try withDirectory { first in
            try withDirectory { second in
                let directory = ZoneDirectory(paths: ["/nonexistent", first, second])
                try Data(TZifFixture().bytes).write(to: URL(filePath: "\(second)/Test"))
                #expect(try directory.rules(named: "Test").offset(at: 500) == 7200)
                try Data("no zone".utf8).write(to: URL(filePath: "\(first)/Test"))
                #expect(throws: ZoneError.malformedFile("Test", path: "\(first)/Test", .notTZif)) {
                    try directory.rules(named: "Test")
                }
            }
        }
    }

    /// Offsets of the past, which no later edition of tzdata should change.
    @Test(
        .timeZones,
        arguments: [
            ("Europe/Berlin", 3600, "1980-04-06T01:00:00Z", 7200),
            ("Europe/Berlin", 7200, "1980-09-28T01:00:00Z", 3600),
            ("Europe/Berlin", 3600, "1996-03-31T01:00:00Z", 7200),
            ("Europe/Berlin", 7200, "1996-10-27T01:00:00Z", 3600),
            ("Europe/Berlin", 3600, "2024-03-31T01:00:00Z", 7200),
            ("Europe/Berlin", 7200, "2024-10-27T01:00:00Z", 3600),
            ("America/New_York", -18_000, "1974-01-06T07:00:00Z", -14_400),
            ("America/New_York", -14_400, "1974-10-27T06:00:00Z", -18_000),
            ("America/New_York", -18_000, "2006-04-02T07:00:00Z", -14_400),
            ("America/New_York", -14_400, "2006-10-29T06:00:00Z", -18_000),
            ("America/New_York", -18_000, "2007-03-11T07:00:00Z", -14_400),
            ("America/New_York", -14_400, "2007-11-04T06:00:00Z", -18_000),
            ("America/St_Johns", -12_600, "1988-04-03T03:31:00Z", -5400),
            ("America/St_Johns", -5400, "1988-10-30T01:31:00Z", -12_600),
            ("America/St_Johns", -12_600, "2011-03-13T03:31:00Z", -9000),
            ("America/St_Johns", -9000, "2011-11-06T04:30:00Z", -12_600),
            ("Australia/Lord_Howe", 36_000, "1981-02-28T14:00:00Z", 37_800),
            ("Australia/Lord_Howe", 37_800, "1981-10-24T15:30:00Z", 41_400),
            ("Australia/Lord_Howe", 41_400, "1985-03-02T14:30:00Z", 37_800),
            ("Australia/Lord_Howe", 37_800, "1985-10-26T15:30:00Z", 39_600),
            ("Australia/Lord_Howe", 39_600, "2008-04-05T15:00:00Z", 37_800),
            ("Australia/Lord_Howe", 37_800, "2008-10-04T15:30:00Z", 39_600),
            ("Africa/Casablanca", 0, "2012-04-29T02:00:00Z", 3600),
            ("Africa/Casablanca", 3600, "2012-07-20T02:00:00Z", 0),
            ("Africa/Casablanca", 0, "2018-03-25T02:00:00Z", 3600),
            ("Africa/Casablanca", 3600, "2018-05-13T02:00:00Z", 0),
            ("Africa/Cairo", 7200, "2010-04-29T22:00:00Z", 10_800),
            ("Africa/Cairo", 10_800, "2010-08-10T21:00:00Z", 7200),
            ("Africa/Cairo", 7200, "2014-05-15T22:00:00Z", 10_800),
            ("Africa/Cairo", 10_800, "2014-06-26T21:00:00Z", 7200),
            ("Africa/Cairo", 7200, "2024-04-25T22:00:00Z", 10_800),
            ("Africa/Cairo", 10_800, "2024-10-31T21:00:00Z", 7200),
            ("America/Sao_Paulo", -10_800, "1985-11-02T03:00:00Z", -7200),
            ("America/Sao_Paulo", -7200, "2018-02-18T02:00:00Z", -10_800),
            ("America/Sao_Paulo", -10_800, "2018-11-04T03:00:00Z", -7200),
            ("America/Sao_Paulo", -7200, "2019-02-17T02:00:00Z", -10_800),
            ("Pacific/Apia", -36_000, "2011-04-02T14:00:00Z", -39_600),
            ("Pacific/Apia", -39_600, "2011-09-24T14:00:00Z", -36_000),
            ("Pacific/Apia", -36_000, "2011-12-30T10:00:00Z", 50_400),
            ("Asia/Kolkata", 23_400, "1945-10-14T17:30:00Z", 19_800),
            ("Antarctica/Troll", 0, "2005-03-27T01:00:00Z", 7200),
            ("Antarctica/Troll", 7200, "2005-10-30T01:00:00Z", 0),
            ("Antarctica/Troll", 0, "2012-03-25T01:00:00Z", 7200),
            ("Antarctica/Troll", 7200, "2012-10-28T01:00:00Z", 0),
            ("Europe/Dublin", 3600, "1971-10-31T02:00:00Z", 0),
            ("Europe/Dublin", 0, "1996-03-31T01:00:00Z", 3600),
            ("Europe/Dublin", 3600, "1996-10-27T01:00:00Z", 0),
        ])
    func `The offsets of real zones are right`(name: String, before: Int, time: String, after: Int) throws {
        let zone = try ZoneDirectory.system.rules(named: name)
        let time = try secondsSince1970(time)
        #expect(zone.offset(at: time - 1) == before)
        #expect(zone.offset(at: time) == after)
        let start = OffsetPeriod(
            start: time, end: zone.period(at: time).end, offset: after, previousOffset: before)
        #expect(zone.period(at: time) == start)
        #expect(zone.period(at: time - 1).end == time)
    }

    private func withDirectory(_ body: (String) throws -> Void) throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "apus-zones-\(UUID())")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: url) }
        try body(url.path)
    }
}
