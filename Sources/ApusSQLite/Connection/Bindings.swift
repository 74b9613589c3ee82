import ApusCore
import ApusData
import FoundationEssentials
import GRDB
import GRDBSQLite

extension StatementHandle {
    /// Binds the values of the statement's placeholders.
    ///
    /// GRDB takes its arguments as an array of boxes, which takes longer than the read of a row. It also ends the process
    /// if their number is wrong.
    /// - Throws: An `AppError`: `internal` if the number of values is wrong, `invalidArgument` for a value that SQLite
    ///   cannot store.
    func bind(_ values: [SQLValue]) throws {
        reset()
        sqlite3_clear_bindings(pointer)
        let count = Int(sqlite3_bind_parameter_count(pointer))
        guard count == values.count else {
            throw AppError(
                .internal, "A statement failed.", cause: PlaceholderMismatch(placeholders: count, values: values.count))
        }
        for (index, value) in values.enumerated() { try bind(value, Int32(index + 1)) }
    }

    private func bind(_ value: SQLValue, _ index: Int32) throws {
        let code =
            switch value {
            case .null: sqlite3_bind_null(pointer, index)
            case .integer(let number): sqlite3_bind_int64(pointer, index, number)
            case .real(let number): sqlite3_bind_double(pointer, index, number)
            case .text(let text): try bind(text, index)
            case .blob(let bytes):
                // A pointer of nil would bind NULL.
                bytes.isEmpty
                    ? sqlite3_bind_zeroblob(pointer, index, 0)
                    : bytes.withUnsafeBytes {
                        sqlite3_bind_blob64(
                            pointer, index, $0.baseAddress, UInt64($0.count), Self.copies)
                    }
            case .timestamp(let date): sqlite3_bind_int64(pointer, index, try Self.microseconds(of: date))
            }
        guard code == SQLITE_OK else {
            throw AppError(
                .invalidArgument, "A value is too large for the database.",
                cause: DatabaseError(
                    resultCode: ResultCode(rawValue: code)))
        }
    }

    private func bind(_ text: String, _ index: Int32) throws -> Int32 {
        // SQLite would silently truncate the text there. Postgres rejects U+0000 too.
        guard !text.utf8.contains(0) else {
            throw AppError(.invalidArgument, "Text must not contain the character U+0000.")
        }
        // Without an address, an empty text would become NULL.
        guard !text.isEmpty else {
            return sqlite3_bind_text64(pointer, index, "", 0, Self.copies, UInt8(SQLITE_UTF8))
        }
        var text = text
        return text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                sqlite3_bind_text64(
                    pointer, index, $0.baseAddress, UInt64($0.count), Self.copies, UInt8(SQLITE_UTF8))
            }
        }
    }

    /// Tells SQLite to copy a value.
    private static var copies: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

    private static func microseconds(of date: Date) throws -> Int64 {
        guard let microseconds = Int64(exactly: (date.timeIntervalSince1970 * 1e6).rounded()) else {
            throw AppError(
                .invalidArgument, "The date is out of range: as microseconds since 1970, it must fit into 64 bits.")
        }
        return microseconds
    }
}

/// A statement whose text has another number of placeholders than it has values. Logged, but never sent to a client.
struct PlaceholderMismatch: Error, CustomStringConvertible {
    let placeholders: Int
    let values: Int

    var description: String {
        "The statement has \(placeholders) placeholders and \(values) values. Values are interpolated, not written as \"?\"."
    }
}
