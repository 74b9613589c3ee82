import Testing

@testable import ApusJobs

@Suite struct TZifTests {
    @Test(arguments: [UInt8(0), UInt8(ascii: "2"), UInt8(ascii: "3"), UInt8(ascii: "4")])
    func `The offsets of a file of any version are those of its transitions`(version: UInt8) throws {
        let zone = try ZoneRules(tzif: TZifFixture(version: version).bytes)
        let offsets = [-1, 0, 999, 1000, 1999].map { zone.offset(at: $0) }
        #expect(offsets == [3600, 7200, 7200, 3600, 3600])
        #expect(zone.period(at: 1500) == OffsetPeriod(start: 1000, end: 2000, offset: 3600, previousOffset: 7200))
        #expect(zone.period(at: -1) == OffsetPeriod(start: nil, end: 0, offset: 3600, previousOffset: nil))
        #expect((zone.laterRules != nil) == (version != 0))
    }

    @Test func `Times of 64 bits are read where there are some`() throws {
        let times = [-1 << 40, 0, 1 << 40]
        #expect(try ZoneRules(tzif: TZifFixture(times: times).bytes).changes.map(\.time) == times)
    }

    @Test func `After the last transition the footer holds`() throws {
        let zone = try ZoneRules(tzif: TZifFixture().bytes)
        let summer = try secondsSince1970("2090-07-01T00:00:00Z")
        #expect(zone.offset(at: 2000) == 3600)
        #expect(zone.offset(at: summer) == 7200)
        let period = try OffsetPeriod(
            start: secondsSince1970("2090-03-26T01:00:00Z"), end: secondsSince1970("2090-10-29T01:00:00Z"),
            offset: 7200,
            previousOffset: 3600)
        #expect(zone.period(at: summer) == period)
    }

    @Test func `The first period after the last transition begins with it`() throws {
        let zone = try ZoneRules(tzif: TZifFixture().bytes)
        let end = try secondsSince1970("1970-03-29T01:00:00Z")
        #expect(zone.period(at: 2000) == OffsetPeriod(start: 2000, end: end, offset: 3600, previousOffset: 3600))
    }

    @Test func `Without transitions the footer always holds`() throws {
        let zone = try ZoneRules(tzif: TZifFixture(times: [], types: []).bytes)
        #expect(try zone.offset(at: secondsSince1970("1900-07-01T00:00:00Z")) == 7200)
    }

    @Test func `With an empty footer the last offset remains`() throws {
        let zone = try ZoneRules(tzif: TZifFixture(footer: "").bytes)
        #expect(zone.offset(at: 1 << 40) == 7200)
        #expect(zone.period(at: 3000) == OffsetPeriod(start: 2000, end: nil, offset: 7200, previousOffset: 3600))
    }

    @Test func `Transitions at the ends of time do not overflow`() throws {
        let zone = try ZoneRules(tzif: TZifFixture(times: [.min, 0, .max]).bytes)
        #expect(zone.offset(at: -1) == 7200)
        #expect(zone.period(at: 1).end == 1 << 59)
    }

    @Test(arguments: [
        (TZifFixture(magic: "TZxx"), TZifError.notTZif),
        (TZifFixture(version: 1), .unknownVersion(1)),
        (TZifFixture(version: UInt8(ascii: "1")), .unknownVersion(49)),
        (TZifFixture(times: [], types: [], offsets: []), .noLocalTimes),
        (TZifFixture(times: [0, 1000, 1000]), .unorderedTransitions),
        (TZifFixture(times: [0, 1000, 999]), .unorderedTransitions),
        (TZifFixture(types: [0, 2, 1]), .unknownLocalTime(2)),
        (TZifFixture(offsets: [0, 93_600]), .offsetOutOfRange(93_600)),
        (TZifFixture(offsets: [-90_000, 0]), .offsetOutOfRange(-90_000)),
        (TZifFixture(leapSeconds: 27), .leapSeconds),
        (TZifFixture(footer: nil), .truncated(.footer)),
        (TZifFixture(footer: "CET"), .malformedFooter("CET")),
    ])
    func `A malformed file is rejected with what is wrong`(file: TZifFixture, error: TZifError) {
        #expect(throws: error) { try ZoneRules(tzif: file.bytes) }
    }

    @Test(arguments: [UInt8(0), UInt8(ascii: "2")])
    func `A file that is cut off at any byte is rejected`(version: UInt8) {
        let bytes = TZifFixture(version: version).bytes
        for count in bytes.indices {
            #expect(throws: TZifError.self) { try ZoneRules(tzif: Array(bytes.prefix(count))) }
        }
    }

    @Test(arguments: [20, 24, 28, 32, 36, 40], [0, 60])
    func `A count that exceeds the file is rejected`(index: Int, body: Int) {
        var bytes = TZifFixture().bytes
        bytes.replaceSubrange(body + index..<body + index + 4, with: [0xFF, 0xFF, 0xFF, 0xFF])
        #expect(throws: TZifError.self) { try ZoneRules(tzif: bytes) }
    }

    @Test func `A file with any one byte changed is rejected or can be used`() {
        let file = TZifFixture()
        for index in file.bytes.indices {
            for byte in [0, 1, 0x0A, 0x30, 0x39, 0x7F, 0x80, 0xFF] as [UInt8] {
                var bytes = file.bytes
                bytes[index] = byte
                guard let zone = try? ZoneRules(tzif: bytes) else { continue }
                for time in [-1 << 45, 0, 1500, 1 << 31, 1 << 45] {
                    #expect(zone.period(at: time).offset == zone.offset(at: time))
                }
            }
        }
    }
}
