import ApusCore
import ApusData
import NIOCore

/// Writes the values of a statement into a Bind message.
///
/// A value is written in binary format if the type of its parameter is known and can hold it. Otherwise it is written
/// as text, which the server converts to whatever type it has inferred, with the same outcome.
enum ValueEncoder {
    /// The maximum number of parameters of a statement, a limit of the protocol.
    static let maximumCount = 65_535
    /// The maximum length of all values of a statement, in bytes. The server ends the connection if a message is longer
    /// than a gigabyte.
    static let maximumLength = 1000 << 20

    /// Checks what the server would reject or misread.
    /// - Throws: An `AppError` of code `invalidArgument`.
    static func validate(_ values: [SQLValue]) throws(AppError) {
        guard values.count <= maximumCount else {
            throw AppError(
                .invalidArgument,
                "A statement has \(values.count) values; the maximum is \(maximumCount). Pass a list as one array.")
        }
        var length = 0
        for value in values {
            switch value {
            case .text(let text):
                length += text.utf8.count
                guard !text.utf8.contains(0) else {
                    throw AppError(.invalidArgument, "Text must not contain the character U+0000.")
                }
            case .timestamp(let date):
                guard PostgresDate.microseconds(date) != nil else {
                    throw AppError(
                        .invalidArgument, "The date is out of range: it must be between 4713 BC and 294276 AD.")
                }
            case .blob(let bytes): length += bytes.count
            case .null, .integer, .real: break
            }
        }
        guard length <= maximumLength else {
            throw AppError(
                .invalidArgument, "The values of a statement have \(length) bytes; the maximum is \(maximumLength).")
        }
    }

    /// Whether integer parameters can hold the numbers that are passed for them.
    static func fit(_ values: [SQLValue], _ types: [PostgresType]) -> Bool {
        for (value, type) in zip(values, types) {
            guard case .integer(let number) = value, type == .int4 || type == .int2 || type == .oid else { continue }
            if !holds(number, type) { return false }
        }
        return true
    }

    /// Whether integer parameters can hold the numbers of several executions.
    static func fit(_ values: [SQLValue], _ further: ArraySlice<SQL>, _ types: [PostgresType]) -> Bool {
        guard fit(values, types) else { return false }
        for index in further.indices where !fit(further[index].values, types) { return false }
        return true
    }

    /// Returns the type to declare for a parameter when its statement is prepared; 0 leaves it to the server.
    /// - Parameter declaresNumbers: Whether to declare numbers as well, for statements in which the server cannot infer
    ///   their types.
    static func declaredType(of value: SQLValue, declaresNumbers: Bool) -> UInt32 {
        switch value {
        case .blob: PostgresType.byteaOID
        case .timestamp: PostgresType.timestamptzOID
        case .integer: declaresNumbers ? PostgresType.int8OID : 0
        case .real: declaresNumbers ? PostgresType.float8OID : 0
        case .null, .text: 0
        }
    }

    /// Returns the format in which a value is written.
    static func format(of value: SQLValue, as type: PostgresType) -> ValueFormat {
        switch value {
        case .integer(let number): holds(number, type) ? .binary : .text
        case .real: type == .float8 ? .binary : .text
        case .text: type == .text || type == .json ? .binary : .text
        case .blob: type == .bytea ? .binary : .text
        case .timestamp: isPointInTime(type) ? .binary : .text
        case .null: .binary
        }
    }

    private static func holds(_ number: Int64, _ type: PostgresType) -> Bool {
        switch type {
        case .int8: true
        case .int4: Int32(exactly: number) != nil
        case .int2: Int16(exactly: number) != nil
        case .float8: number.magnitude <= 1 << 53
        case .bool: number == 0 || number == 1
        case .oid: UInt32(exactly: number) != nil
        case .float4, .text, .json, .jsonb, .uuid, .bytea, .date, .timestamp, .timestamptz, .numeric, .unknown: false
        }
    }

    private static func isPointInTime(_ type: PostgresType) -> Bool {
        switch type {
        case .timestamptz, .timestamp, .date: true
        case .bool, .int2, .int4, .int8, .float4, .float8, .oid, .text, .json, .jsonb, .uuid, .bytea, .numeric,
            .unknown:
            false
        }
    }

    /// Returns the maximum number of bytes that a value takes with its length.
    static func maximumSize(of value: SQLValue, as type: PostgresType) -> Int {
        switch value {
        // Numbers and dates take fewer characters as text.
        case .null, .integer, .real, .timestamp: 64
        case .text(let text): 4 + text.utf8.count
        case .blob(let bytes): type == .bytea ? 4 + bytes.count : 6 + 2 * bytes.count
        }
    }

    /// Writes the length and the bytes of a value that was validated.
    /// - Parameter type: The type of the parameter, as far as it is known or declared.
    static func write(_ value: SQLValue, as type: PostgresType, to output: inout MessageWriter) {
        switch value {
        case .null: output.write(Int32(-1))
        case .integer(let number):
            if holds(number, type) { writeBinary(number, type, to: &output) } else { write("\(number)", to: &output) }
        case .real(let number):
            if type == .float8 {
                output.write(Int32(8))
                output.write(number.bitPattern)
            } else {
                write(text(of: number), to: &output)
            }
        case .text(let text): write(text, to: &output)
        case .blob(let bytes):
            if type == .bytea {
                output.write(Int32(bytes.count))
                output.write(bytes)
            } else {
                write(hexText(of: bytes), to: &output)
            }
        case .timestamp(let date):
            switch type {
            case .timestamptz, .timestamp:
                // The session's zone is UTC, so `timestamp` has the same representation.
                output.write(Int32(8))
                output.write(PostgresDate.microseconds(date) ?? 0)
            case .date:
                output.write(Int32(4))
                output.write(PostgresDate.days(date) ?? 0)
            default: write(PostgresDate.format(date) ?? "", to: &output)
            }
        }
    }

    private static func writeBinary(_ number: Int64, _ type: PostgresType, to output: inout MessageWriter) {
        switch type {
        case .int4, .oid:
            output.write(Int32(4))
            output.write(Int32(truncatingIfNeeded: number))
        case .int2:
            output.write(Int32(2))
            output.write(Int16(truncatingIfNeeded: number))
        case .bool:
            output.write(Int32(1))
            output.write(UInt8(truncatingIfNeeded: number))
        case .float8:
            output.write(Int32(8))
            output.write(Double(number).bitPattern)
        default:
            output.write(Int32(8))
            output.write(number)
        }
    }

    private static func write(_ text: String, to output: inout MessageWriter) {
        output.write(Int32(text.utf8.count))
        output.write(text)
    }

    /// Returns a number as the server reads it.
    static func text(of number: Double) -> String {
        if number.isNaN { return "NaN" }
        return number.isInfinite ? (number < 0 ? "-Infinity" : "Infinity") : "\(number)"
    }

    /// Returns bytes in the hexadecimal format of `bytea`.
    static func hexText(of bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(unsafeUninitializedCapacity: 2 + 2 * bytes.count) { buffer in
            buffer[0] = UInt8(ascii: "\\")
            buffer[1] = UInt8(ascii: "x")
            for (index, byte) in bytes.enumerated() {
                buffer[2 + 2 * index] = digits[Int(byte >> 4)]
                buffer[3 + 2 * index] = digits[Int(byte & 15)]
            }
            return 2 + 2 * bytes.count
        }
    }
}
