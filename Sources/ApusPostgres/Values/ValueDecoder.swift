import ApusCore
import ApusData
import FoundationEssentials

/// Reads the values of a row.
enum ValueDecoder {
    /// A value that cannot be represented. Logged as the cause of an `AppError`.
    struct Failure: Error, Equatable, CustomStringConvertible {
        let description: String

        init(_ description: String) { self.description = description }
    }

    /// Reads a value in binary format.
    static func binary(_ bytes: UnsafeRawBufferPointer, _ type: PostgresType) throws(Failure) -> SQLValue {
        switch type {
        case .int4: return .integer(Int64(Int32(truncatingIfNeeded: try integer(bytes, 4))))
        case .int8: return .integer(try integer(bytes, 8))
        case .int2: return .integer(Int64(Int16(truncatingIfNeeded: try integer(bytes, 2))))
        case .oid: return .integer(Int64(UInt32(truncatingIfNeeded: try integer(bytes, 4))))
        case .bool: return .integer(try integer(bytes, 1) == 0 ? 0 : 1)
        case .text, .json: return .text(String(decoding: bytes, as: UTF8.self))
        case .jsonb:
            guard bytes.first == 1 else { throw Failure("A jsonb value has an unknown version.") }
            return .text(String(decoding: UnsafeRawBufferPointer(rebasing: bytes.dropFirst()), as: UTF8.self))
        case .float8: return .real(Double(bitPattern: UInt64(bitPattern: try integer(bytes, 8))))
        case .float4:
            return .real(Double(Float(bitPattern: UInt32(truncatingIfNeeded: try integer(bytes, 4)))))
        case .bytea: return .blob(Array(bytes))
        case .uuid: return .text(try uuid(bytes))
        case .timestamptz:
            guard let date = PostgresDate.date(microseconds: try integer(bytes, 8)) else { throw infinity }
            return .timestamp(date)
        case .date:
            guard let date = PostgresDate.date(days: Int32(truncatingIfNeeded: try integer(bytes, 4))) else {
                throw infinity
            }
            return .timestamp(date)
        case .timestamp: throw withoutZone
        case .numeric, .unknown: throw Failure("A value arrived in binary format although text was requested.")
        }
    }

    /// Reads a value in text format.
    static func text(_ bytes: UnsafeRawBufferPointer, _ type: PostgresType) throws(Failure) -> SQLValue {
        let text = String(decoding: bytes, as: UTF8.self)
        switch type {
        case .text, .json, .jsonb, .uuid, .numeric, .unknown: return .text(text)
        case .int2, .int4, .int8, .oid:
            guard let number = Int64(text) else { throw Failure("An integer is malformed.") }
            return .integer(number)
        case .bool: return .integer(text == "t" ? 1 : 0)
        case .float4:
            guard let number = Float(text) else { throw Failure("A number is malformed.") }
            return .real(Double(number))
        case .float8:
            guard let number = Double(text) else { throw Failure("A number is malformed.") }
            return .real(number)
        case .bytea: return .blob(try hex(bytes))
        case .date, .timestamptz:
            guard let date = PostgresDate.parse(text) else { throw infinity }
            return .timestamp(date)
        case .timestamp: throw withoutZone
        }
    }

    private static var infinity: Failure { Failure("The date is infinite or out of range, which has no Date.") }

    private static var withoutZone: Failure {
        Failure(
            "The type timestamp does not say which point in time it means. Use timestamptz, or write "
                + "column AT TIME ZONE 'UTC' in the statement.")
    }

    /// Reads a big-endian integer, which is not sign-extended.
    private static func integer(_ bytes: UnsafeRawBufferPointer, _ count: Int) throws(Failure) -> Int64 {
        guard bytes.count == count else {
            throw Failure("A value has \(bytes.count) bytes instead of \(count).")
        }
        switch count {
        case 4: return Int64(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
        case 8: return Int64(bigEndian: bytes.loadUnaligned(as: Int64.self))
        default: return bytes.reduce(0) { $0 << 8 | Int64($1) }
        }
    }

    private static func uuid(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> String {
        guard bytes.count == 16 else { throw Failure("A UUID has \(bytes.count) bytes.") }
        return String(unsafeUninitializedCapacity: 36) { buffer in
            var position = 0
            for (index, byte) in bytes.enumerated() {
                if index == 4 || index == 6 || index == 8 || index == 10 {
                    buffer[position] = UInt8(ascii: "-")
                    position += 1
                }
                buffer[position] = hexDigit(byte >> 4)
                buffer[position + 1] = hexDigit(byte & 15)
                position += 2
            }
            return position
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    private static func hex(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> [UInt8] {
        let malformed = Failure("A bytea value is not in the format hex.")
        guard bytes.count >= 2, bytes.count % 2 == 0, bytes[0] == UInt8(ascii: "\\"), bytes[1] == UInt8(ascii: "x")
        else { throw malformed }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count / 2 - 1)
        for index in stride(from: 2, to: bytes.count, by: 2) {
            guard let high = value(ofDigit: bytes[index]), let low = value(ofDigit: bytes[index + 1]) else {
                throw malformed
            }
            result.append(high << 4 | low)
        }
        return result
    }

    private static func value(ofDigit digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
