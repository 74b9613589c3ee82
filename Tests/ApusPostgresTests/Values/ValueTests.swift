import ApusCore
import ApusData
import Foundation
import NIOCore
import Testing

@testable import ApusPostgres

struct ValueTests {
    /// Writes a value as a parameter of a type, and reads it as a column of that type.
    private func roundTrip(_ value: SQLValue, _ type: PostgresType) throws -> SQLValue? {
        try #require(ValueEncoder.format(of: value, as: type) == .binary)
        var output = ByteBuffer()
        output.write(upTo: ValueEncoder.maximumSize(of: value, as: type)) {
            ValueEncoder.write(value, as: type, to: &$0)
        }
        let prefix = output.readInteger(as: Int32.self)
        let length = try #require(prefix)
        if length < 0 { return nil }
        #expect(output.readableBytes == length)
        return try output.withUnsafeReadableBytes { try ValueDecoder.binary($0, type) }
    }

    @Test(arguments: [
        (SQLValue.integer(.max), PostgresType.int8), (.integer(.min), .int8), (.integer(Int64(Int32.max)), .int4),
        (.integer(Int64(Int32.min)), .int4), (.integer(-32768), .int2), (.integer(32767), .int2),
        (.integer(Int64(UInt32.max)), .oid), (.integer(0), .bool), (.integer(1), .bool),
        (.real(.greatestFiniteMagnitude), .float8), (.real(-.infinity), .float8),
        (.real(Double.leastNonzeroMagnitude), .float8),
        (.text(""), .text), (.text("\u{1F468}\u{200D}\u{1F469} e\u{301}"), .text), (.blob([]), .bytea),
        (.blob(Array(0...255)), .bytea), (.timestamp(Date(timeIntervalSince1970: 0)), .timestamptz),
        (.timestamp(Date(timeIntervalSince1970: -62_135_596_800.25)), .timestamptz),
        (.timestamp(Date(timeIntervalSince1970: 1_767_225_600.000001)), .timestamptz),
        (.timestamp(Date(timeIntervalSince1970: -86400)), .date),
    ])
    func `Values keep their extremes in binary format`(value: SQLValue, type: PostgresType) throws {
        #expect(try roundTrip(value, type) == value)
    }

    @Test func `NaN stays NaN`() throws {
        guard case .real(let number)? = try roundTrip(.real(.nan), .float8) else { throw ProtocolViolation("") }
        #expect(number.isNaN)
        #expect(ValueEncoder.text(of: .nan) == "NaN" && ValueEncoder.text(of: -.infinity) == "-Infinity")
    }

    @Test(arguments: [
        (SQLValue.integer(Int64(Int32.max) + 1), PostgresType.int4), (.integer(40000), .int2), (.integer(2), .bool),
        (.integer(-1), .oid), (.integer(1), .numeric), (.integer(1), .text), (.real(1), .int4), (.real(1), .numeric),
        (.text("x"), .uuid), (.text("{}"), .jsonb), (.text("red"), .unknown), (.integer(1 << 60), .float8),
    ])
    func `A value that a type cannot hold exactly is left to the server as text`(value: SQLValue, type: PostgresType) {
        #expect(ValueEncoder.format(of: value, as: type) == .text)
    }

    @Test(arguments: [
        ("t", PostgresType.bool, SQLValue.integer(1)), ("f", .bool, .integer(0)), ("-5", .int4, .integer(-5)),
        ("9223372036854775807", .int8, .integer(.max)), ("1.5", .float8, .real(1.5)),
        ("Infinity", .float8, .real(.infinity)), ("0.1", .float4, .real(Double(Float(0.1)))),
        ("NaN", .numeric, .text("NaN")), ("-Infinity", .numeric, .text("-Infinity")),
        ("\\x00ff", .bytea, .blob([0, 255])), ("red", .unknown, .text("red")),
        ("2026-01-31 12:00:00.25+00", .timestamptz, .timestamp(Date(timeIntervalSince1970: 1_769_860_800.25))),
        ("0044-03-15 BC", .date, .timestamp(Date(timeIntervalSince1970: -63_517_824_000))),
        ("12026-01-01", .date, .timestamp(Date(timeIntervalSince1970: 317_336_745_600))),
    ])
    func `Text and binary format mean the same`(text: String, type: PostgresType, value: SQLValue) throws {
        #expect(try decode(text, type) == value)
    }

    private func decode(_ text: String, _ type: PostgresType) throws -> SQLValue {
        try Array(text.utf8).withUnsafeBytes { try ValueDecoder.text($0, type) }
    }

    private func decode(_ bytes: [UInt8], _ type: PostgresType) throws -> SQLValue {
        try bytes.withUnsafeBytes { try ValueDecoder.binary($0, type) }
    }

    @Test func `Infinite dates are refused, not read as a number`() {
        for extreme in [Int64.max, .min] {
            #expect(throws: ValueDecoder.Failure.self) {
                try decode(ServerMessage.integer(extreme), .timestamptz)
            }
        }
        for extreme in [Int32.max, .min] {
            #expect(throws: ValueDecoder.Failure.self) { try decode(ServerMessage.integer(extreme), .date) }
        }
        #expect(throws: ValueDecoder.Failure.self) { try decode("infinity", .timestamptz) }
    }

    @Test(arguments: [
        "9223372036854775807-01-01", "2026-01-01 9223372036854775807:00:00+00", "2026-01-01 00:00:inf+00",
        "2026-01-01 00:99:00+00", "2026-02-30", "-5-1-1", "2026-01-01 00:00:00+02", "", "-", " BC",
    ])
    func `A date that no server sends is refused`(text: String) {
        for type in [PostgresType.date, .timestamptz] {
            #expect(throws: ValueDecoder.Failure.self) { try decode(text, type) }
        }
    }

    @Test func `timestamp is refused, because it is not a point in time`() {
        #expect(throws: ValueDecoder.Failure.self) { try decode(ServerMessage.integer(0 as Int64), .timestamp) }
        #expect(throws: ValueDecoder.Failure.self) { try decode("2026-01-01 00:00:00", .timestamp) }
    }

    @Test(arguments: PostgresType.allCases)
    func `A value of the wrong length is refused`(type: PostgresType) {
        let hasFixedLength: [PostgresType] = [
            .bool, .int2, .int4, .int8, .float4, .float8, .oid, .uuid, .timestamptz, .date,
        ]
        guard hasFixedLength.contains(type) else { return }
        for length in [0, 3, 17] {
            #expect(throws: ValueDecoder.Failure.self) { try decode([UInt8](repeating: 0, count: length), type) }
        }
    }

    @Test func `jsonb has a version, and a UUID its usual form`() throws {
        #expect(try decode([1] + Array("{}".utf8), .jsonb) == .text("{}"))
        #expect(throws: ValueDecoder.Failure.self) { try decode([2] + Array("{}".utf8), .jsonb) }
        #expect(try decode(Array(0...15), .uuid) == .text("00010203-0405-0607-0809-0a0b0c0d0e0f"))
    }

    @Test func `What the server would reject or misread is refused before it is sent`() {
        let refused: [[SQLValue]] = [
            [.text("cut\0off")], [.timestamp(.distantPast.addingTimeInterval(-1e12))],
            [.timestamp(Date(timeIntervalSince1970: .nan))], [.timestamp(Date(timeIntervalSince1970: 1e300))],
            Array(repeating: .null, count: 65_536),
        ]
        for values in refused {
            #expect {
                try ValueEncoder.validate(values)
            } throws: {
                ($0 as? AppError)?.code == .invalidArgument
            }
        }
        #expect(throws: Never.self) { try ValueEncoder.validate(Array(repeating: .null, count: 65_535)) }
    }

    @Test(arguments: [
        (0.0, "1970-01-01 00:00:00.000000+00"), (-62_167_219_200, "0001-01-01 00:00:00.000000+00 BC"),
        (1_767_225_599.999999, "2025-12-31 23:59:59.999999+00"), (253_402_300_800, "10000-01-01 00:00:00.000000+00"),
    ])
    func `Dates are formatted as the server reads them`(seconds: Double, text: String) {
        #expect(PostgresDate.format(Date(timeIntervalSince1970: seconds)) == text)
        #expect(PostgresDate.parse(text)?.timeIntervalSince1970 == seconds)
    }
}

struct PostgresArrayTests {
    @Test func `Elements are quoted, so that none can end the array`() {
        let array = PostgresArray(["a", "\",\\}{", "", "NULL", "é"])
        #expect(array.sqlValue == .text(#"{"a","\",\\}{","","NULL","é"}"#))
        #expect(PostgresArray<Int?>([1, nil, -3]).sqlValue == .text("{1,NULL,-3}"))
        #expect(PostgresArray<Int>([]).sqlValue == .text("{}"))
        #expect(PostgresArray<[UInt8]>([[0, 255]]).sqlValue == .text(#"{"\\x00ff"}"#))
    }

    @Test func `An array is read as it was written`() throws {
        let texts: [String?] = ["a", "\",\\}{", "", "NULL", nil, "é"]
        #expect(PostgresArray<String?>(sqlValue: PostgresArray(texts).sqlValue)?.elements == texts)
        #expect(PostgresArray<Int>(sqlValue: .text("{1,2,3}"))?.elements == [1, 2, 3])
        #expect(PostgresArray<Bool>(sqlValue: .text("{t,f}"))?.elements == [true, false])
        #expect(PostgresArray<Double>(sqlValue: .text("{1.5,2}"))?.elements == [1.5, 2])
    }

    @Test(arguments: ["", "{", "}", "1,2", "{{1},{2}}", "{\"a}", "{a\\"])
    func `What is no one-dimensional array is refused`(text: String) {
        #expect(PostgresArray<String>(sqlValue: .text(text)) == nil)
    }
}
