import ApusData
import NIOCore

/// Reads DataRow messages.
enum RowReader {
    /// A column whose value cannot be represented. Logged as the cause of an `AppError`.
    struct ColumnError: Error, CustomStringConvertible {
        let column: String
        let failure: ValueDecoder.Failure

        var description: String { "\(column): \(failure)" }
    }

    /// Reads a row, and appends its values.
    /// - Parameters:
    ///   - columns: The columns of the result.
    ///   - requested: The columns whose formats were requested; `nil` if all were requested in text format.
    /// - Throws: A ``ColumnError``, or a ``ProtocolViolation`` if the message is malformed. Some values may have been
    ///   appended then.
    static func append(
        _ bytes: UnsafeRawBufferPointer, _ columns: ColumnDescription, requested: ColumnDescription?,
        to values: inout [SQLValue]
    ) throws {
        var reader = FieldReader(bytes: bytes)
        let count = try reader.count()
        guard count == columns.types.count else {
            throw ProtocolViolation("A row has \(count) columns instead of \(columns.types.count).")
        }
        for index in 0..<count { values.append(try reader.value(index, columns, requested)) }
    }

    private struct FieldReader {
        let bytes: UnsafeRawBufferPointer
        var position = 2

        init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

        func count() throws(ProtocolViolation) -> Int {
            guard bytes.count >= 2 else { throw ProtocolViolation("A row is cut short.") }
            return Int(UInt16(bigEndian: bytes.loadUnaligned(as: UInt16.self)))
        }

        mutating func value(
            _ index: Int, _ columns: ColumnDescription, _ requested: ColumnDescription?
        ) throws -> SQLValue {
            guard position + 4 <= bytes.count else { throw ProtocolViolation("A row is cut short.") }
            let length = Int(Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: Int32.self)))
            position += 4
            if length == -1 { return .null }
            guard length >= 0, length <= bytes.count - position else {
                throw ProtocolViolation("A value of a row is cut short.")
            }
            let field = UnsafeRawBufferPointer(rebasing: bytes[position..<position + length])
            position += length
            let isBinary = requested?.isRequestedInBinary(index) ?? false
            do throws(ValueDecoder.Failure) {
                return isBinary
                    ? try ValueDecoder.binary(field, columns.types[index])
                    : try ValueDecoder.text(field, columns.types[index])
            } catch {
                throw ColumnError(column: columns.names[index], failure: error)
            }
        }
    }
}
