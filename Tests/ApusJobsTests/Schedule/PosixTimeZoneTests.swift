import FoundationEssentials
import Testing

@testable import ApusJobs

@Suite struct PosixTimeZoneTests {
    @Test(arguments: [
        ("UTC0", 0),
        ("<+0330>-3:30", 12_600),
        ("<-03>3", -10_800),
        ("LMT+0:01:15", -75),
        ("ABC-24:59:59", 89_999),
    ])
    func `A string without daylight saving time has one offset`(text: String, offset: Int) throws {
        let zone = try #require(PosixTimeZone(text.utf8))
        #expect(zone == PosixTimeZone(standardOffset: offset, daylightSaving: nil))
        #expect(zone.offset(at: 1_700_000_000) == offset)
        #expect(zone.changeTime(after: 1_700_000_000) == nil)
    }

    @Test(arguments: [
        // The last Sunday of a month.
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2090-03-26T01:00:00Z", 3600, 7200),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2090-10-29T01:00:00Z", 7200, 3600),
        // South of the equator a year begins in daylight saving time. The change is one of 30 minutes.
        ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2090-04-01T15:00:00Z", 39_600, 37_800),
        ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2090-09-30T15:30:00Z", 37_800, 39_600),
        // Winter time is the one that is "saved".
        ("IST-1GMT0,M10.5.0,M3.5.0/1", "2090-03-26T01:00:00Z", 0, 3600),
        ("IST-1GMT0,M10.5.0,M3.5.0/1", "2090-10-29T01:00:00Z", 3600, 0),
        // Negative hours, and hours of days before and after.
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2090-03-26T01:00:00Z", -7200, -3600),
        ("EET-2EEST,M3.4.4/50,M10.4.4/50", "2090-03-25T00:00:00Z", 7200, 10_800),
        ("<+00>0<+01>,0/-167,J365/167", "2089-12-25T01:00:00Z", 0, 3600),
        // J60 is March 1 of every year, and the zero-based 59 is February 29 if there is one.
        ("AAA0BBB,J60/0,J300", "2092-03-01T00:00:00Z", 0, 3600),
        ("AAA0BBB,J60/0,J300", "2091-03-01T00:00:00Z", 0, 3600),
        ("AAA0BBB,59/0,J300", "2092-02-29T00:00:00Z", 0, 3600),
        ("AAA0BBB,59/0,J300", "2091-03-01T00:00:00Z", 0, 3600),
        // Without rules, those of the United States.
        ("EST5EDT", "2090-03-12T07:00:00Z", -18_000, -14_400),
        ("EST5EDT", "2090-11-05T06:00:00Z", -14_400, -18_000),
    ])
    func `An offset changes at the time of the rule`(text: String, time: String, before: Int, after: Int) throws {
        let zone = try #require(PosixTimeZone(text.utf8))
        let time = try secondsSince1970(time)
        #expect(zone.offset(at: time - 1) == before)
        #expect(zone.offset(at: time) == after)
        #expect(zone.changeTime(after: time - 1) == time)
        #expect(zone.change(atOrBefore: time) == OffsetChange(time: time, offset: after))
    }

    @Test(arguments: ["EST5EDT,0/0,J365/25", "XXX3<-02>2,J1/0,J365/25"])
    func `Daylight saving time can last all year`(text: String) throws {
        let zone = try #require(PosixTimeZone(text.utf8))
        let start = try secondsSince1970("2023-12-28T00:00:00Z")
        for hour in 0..<24 * 370 {
            #expect(zone.offset(at: start + hour * 3600) == zone.daylightSaving?.offset)
        }
    }

    @Test(arguments: [
        "", "C", "CE-1", "CET", "CET-", "CET-1:", "CET-25", "CET-1:60", "CET-1 ", "CET--1", "<CET-1", "<+1>-1", "CÉT-1",
        "CET-1CEST,", "CET-1CEST,M3.5.0", "CET-1CEST,M3.5.0,", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.0.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,M3.5,M10.5.0",
        "CET-1CEST,J0,J365", "CET-1CEST,J1,J366", "CET-1CEST,0,366", "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3.5.0/-168,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0/3,", "CET-1CEST,M3.5.0,M10.5.0/3/3", "CET-1\0",
        "CET-99999999999999999999", "CET-1CEST,J99999999999999999999,J1", ":Europe/Berlin",
    ])
    func `A string that breaks the grammar is rejected`(text: String) {
        #expect(PosixTimeZone(text.utf8) == nil)
    }

    @Test func `A string that ends early is rejected unless it is complete without the rest`() {
        let text = "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
        let complete = (0...text.count).map { text.prefix($0) }.filter { PosixTimeZone($0.utf8) != nil }
        #expect(
            complete == [
                "<+1030>-1", "<+1030>-10", "<+1030>-10:3", "<+1030>-10:30", "<+1030>-10:30<+11>",
                "<+1030>-10:30<+11>-1",
                "<+1030>-10:30<+11>-11", text[...],
            ])
    }
}
