import ApusData
import NIOCore

/// An error or a notice that the server reported. Logged as the cause of an `AppError`, never sent to a client.
struct PostgresError: Error, Equatable, Sendable {
    /// How severe it is, such as `ERROR` or `FATAL`, never translated.
    var severity = ""
    /// The five characters of the SQLSTATE.
    var sqlState = ""
    var message = ""
    /// More about the problem. May contain values of rows.
    var detail: String?
    var hint: String?
    /// The position in the statement's text, in characters from 1.
    var position: String?
    var schema: String?
    var table: String?
    var column: String?
    var constraint: String?
    /// Whether it was reported in a transaction that was begun as one that only reads.
    var isInReadOnlyTransaction = false

    /// Reads the fields of an ErrorResponse or a NoticeResponse. Unknown fields are skipped.
    /// - Returns: `nil` if they are malformed.
    init?(_ body: ByteBuffer) {
        var body = body
        while let field = body.readInteger(as: UInt8.self), field != 0 {
            guard let value = body.readNullTerminatedString() else { return nil }
            switch field {
            case UInt8(ascii: "S") where severity.isEmpty: severity = value
            case UInt8(ascii: "V"): severity = value
            case UInt8(ascii: "C"): sqlState = value
            case UInt8(ascii: "M"): message = value
            case UInt8(ascii: "D"): detail = value
            case UInt8(ascii: "H"): hint = value
            case UInt8(ascii: "P"): position = value
            case UInt8(ascii: "s"): schema = value
            case UInt8(ascii: "t"): table = value
            case UInt8(ascii: "c"): column = value
            case UInt8(ascii: "n"): constraint = value
            default: break
            }
        }
        guard sqlState.utf8.count == 5 else { return nil }
    }

    init(severity: String = "ERROR", sqlState: String, message: String) {
        self.severity = severity
        self.sqlState = sqlState
        self.message = message
    }

    /// Whether the server ends the connection after this error.
    var isFatal: Bool { severity == "FATAL" || severity == "PANIC" }

    /// Whether the connection leads to a server that must not be used any longer: it has become a standby, or it shuts
    /// down.
    var condemnsConnection: Bool {
        switch sqlState {
        case "25006": !isInReadOnlyTransaction
        case "57P01", "57P02", "57P03": true
        default: isFatal
        }
    }
}

extension PostgresError: TransactionConflict {
    /// Whether it is a serialization failure, a deadlock, or a lock that was not available in time.
    package var isTransactionConflict: Bool { ["40001", "40P01", "55P03"].contains(sqlState) }
}

/// The error of a prepared statement that no longer fits its tables. It is prepared again for the next attempt.
struct ChangedTable: TransactionConflict, CustomStringConvertible {
    let error: PostgresError

    package var isTransactionConflict: Bool { true }
    var description: String { error.description }
}

extension PostgresError: CustomStringConvertible {
    /// The SQLSTATE, the message and where it applies. Without the detail, which may contain values of rows.
    var description: String {
        var text = "\(severity) \(sqlState): \(message)"
        if let constraint { text += " (constraint \(constraint))" }
        if let table { text += " (table \(table))" }
        if let column { text += " (column \(column))" }
        if let position { text += " (at character \(position))" }
        if let hint { text += " Hint: \(hint)" }
        return text
    }
}
