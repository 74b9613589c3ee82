import FoundationEssentials
import Testing

@testable import ApusCore

@Suite struct RFC3339Tests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("2026-11-27T03:05:01Z", 1_795_748_701), ("2026-11-27t03:05:01z", 1_795_748_701),
        ("2026-11-27T05:05:01+02:00", 1_795_748_701), ("2026-11-26T21:35:01-05:30", 1_795_748_701),
        ("2026-11-27T03:05:01-00:00", 1_795_748_701), ("2026-11-27T03:05:01.5Z", 1_795_748_701.5),
        ("2026-11-27T03:05:01.250000000000000000000Z", 1_795_748_701.25), ("2024-02-29T00:00:00Z", 1_709_164_800),
        ("0000-01-01T00:00:00Z", -62_167_219_200), ("9999-12-31T23:59:59Z", 253_402_300_799),
        ("2016-12-31T23:59:60Z", 1_483_228_800), ("2017-01-01T08:59:60+09:00", 1_483_228_800),
        ("2015-06-30T23:59:60.5Z", 1_435_708_800.5),
    ])
    func `A date is parsed by the grammar of RFC 3339`(text: String, seconds: Double) {
        #expect(RFC3339.parse(text)?.timeIntervalSince1970 == seconds)
    }

    @Test(arguments: [
        "", "now", "2026-11-27", "2026-11-27T03:05:01", "2026-11-27T03:05:01Zjunk", "2026-11-27T03:05:01Z ",
        " 2026-11-27T03:05:01Z", "2026-11-27T03:05:01+0000", "2026-11-27T03:05:01+00", "2026-11-27T03:05:01+24:00",
        "2026-11-27T03:05:01+00:60", "2026-11-27T03:05:01 Z", "2026-11-27 03:05:01Z", "2026-02-30T03:05:01Z",
        "2025-02-29T03:05:01Z", "1900-02-29T00:00:00Z", "2026-13-01T03:05:01Z", "2026-00-01T03:05:01Z",
        "2026-01-00T03:05:01Z", "2026-04-31T03:05:01Z", "2026-11-27T24:30:00Z", "2026-11-27T24:00:00Z",
        "2026-11-27T03:60:00Z", "2026-11-27T03:05:61Z", "2026-11-27T03:05:60Z", "2016-12-31T23:59:60+01:00",
        "26-11-27T03:05:01Z", "2026-1-7T1:2:3Z", "+2026-11-27T03:05:01Z", "12026-11-27T03:05:01Z",
        "2026-11-27T03:05:01.Z", "2026-11-27T03:05:01,5Z", "2026-11-27T03:05:01.5", "2026-11-27T03:05Z",
        "2026-11-27T0\u{663}:05:01Z", "2026-11-27T03:05:01\u{301}Z", "2026-11-27T03:05:01Z\u{301}",
        "2026-W48-5T03:05:01Z",
    ])
    func `Text that does not match the grammar is rejected`(text: String) { #expect(RFC3339.parse(text) == nil) }

    @Test func `Every proper prefix of a date is rejected`() {
        let text = "2026-11-27T03:05:01.123+02:00"
        for length in 0..<text.count { #expect(RFC3339.parse(String(text.prefix(length))) == nil) }
        #expect(RFC3339.parse(text) != nil)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (1_795_748_701.25, "2026-11-27T03:05:01.250Z"),
        (1_795_748_701.9996, "2026-11-27T03:05:02.000Z"), (-0.001, "1969-12-31T23:59:59.999Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"), (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        (-62_167_219_200, "0000-01-01T00:00:00.000Z"),
    ])
    func `A date is formatted in UTC with milliseconds`(seconds: Double, text: String) {
        #expect(RFC3339.format(Date(timeIntervalSince1970: seconds)) == text)
    }

    @Test(arguments: [253_402_300_800, -62_167_219_200.001, 1e300, .nan, .infinity])
    func `Dates outside the years 0 to 9999 cannot be formatted`(seconds: Double) {
        #expect(RFC3339.format(Date(timeIntervalSince1970: seconds)) == nil)
    }

    @Test func `Every day of five centuries survives a round trip through CivilDate`() async {
        for day in stride(from: -150_000, to: 50_000, by: 1) {
            if day % 20_000 == 0 { await Task.yield() }
            let civil = CivilDate(daysSince1970: day)
            #expect(civil.daysSince1970 == day)
            #expect(CivilDate(year: civil.year, month: civil.month, day: civil.day) == civil)
        }
    }
}
