import ApusCore
import NIOCore

extension PostgresConnectionStateMachine {
    mutating func readStatus(_ message: BackendMessage) throws {
        guard message.bytes.count == 1, let status = TransactionStatus(rawValue: message.bytes[0]) else {
            throw message.malformed
        }
        self.status = status
    }

    mutating func readParameter(_ message: BackendMessage) throws {
        var body = message.body
        guard let name = body.readNullTerminatedString(), let value = body.readNullTerminatedString() else {
            throw message.malformed
        }
        parameters[name] = value
    }

    func readError(_ message: BackendMessage) throws -> PostgresError {
        guard let error = PostgresError(message.body) else { throw message.malformed }
        return error
    }

    func readNotification(_ message: BackendMessage) throws -> PostgresNotification {
        var body = message.body
        guard let process = body.readInteger(as: UInt32.self), let channel = body.readNullTerminatedString(),
            let payload = body.readNullTerminatedString()
        else { throw message.malformed }
        return PostgresNotification(channel: channel, payload: payload, process: process)
    }

    /// Called with the messages of a COPY.
    mutating func receivedCopy(_ message: BackendMessage) throws -> Action {
        guard let current = progress, !current.hasError, !current.isComplete else { throw message.unexpected }
        switch (message.kind, current.kind, current.copy) {
        case (.copyInResponse, .copyIn, .none):
            current.copy = .sending
            return .copyIn(current.waiting)
        case (.copyOutResponse, .copyOut, .none): current.copy = .receiving
        case (.copyData, .copyOut, .receiving):
            return current.isAbandoned ? .none : .copyOut(current.token, message.body)
        case (.copyDone, .copyOut, .receiving): current.copy = .ended
        default: throw message.unexpected
        }
        return .none
    }
}

/// What the server says about a statement that it has completed, such as `INSERT 0 1`.
struct CommandTag: Equatable {
    /// The number of rows that were inserted, updated, deleted, merged or copied; 0 for other statements.
    let affectedRows: Int
    let isRollback: Bool

    /// - Returns: `nil` if it is not terminated.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.last == 0 else { return nil }
        isRollback = bytes[0] == UInt8(ascii: "R") && bytes.starts(with: "ROLLBACK".utf8)
        // SELECT, SHOW, FETCH and MOVE count rows that were not changed, and other commands none.
        guard Self.changes(bytes), let space = bytes.lastIndex(of: UInt8(ascii: " ")) else {
            affectedRows = 0
            return
        }
        var count = 0
        for byte in bytes[(space + 1)...].dropLast() {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), count < Int.max / 10 - 1 else { return nil }
            count = count * 10 + Int(byte - UInt8(ascii: "0"))
        }
        affectedRows = count
    }

    private static func changes(_ bytes: UnsafeRawBufferPointer) -> Bool {
        switch bytes[0] {
        case UInt8(ascii: "I"): bytes.starts(with: "INSERT".utf8)
        case UInt8(ascii: "U"): bytes.starts(with: "UPDATE".utf8)
        case UInt8(ascii: "D"): bytes.starts(with: "DELETE".utf8)
        case UInt8(ascii: "M"): bytes.starts(with: "MERGE".utf8)
        case UInt8(ascii: "C"): bytes.starts(with: "COPY".utf8)
        default: false
        }
    }
}
