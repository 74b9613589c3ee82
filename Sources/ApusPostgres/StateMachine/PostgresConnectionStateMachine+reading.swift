import ApusCore
import NIOCore

extension PostgresConnectionStateMachine {
    mutating func readStatus(_ message: BackendMessage) throws {
        guard let byte = message.body.getInteger(at: message.body.readerIndex, as: UInt8.self),
            let status = TransactionStatus(rawValue: byte), message.body.readableBytes == 1
        else { throw malformed(message) }
        self.status = status
    }

    mutating func readParameter(_ message: BackendMessage) throws {
        var body = message.body
        guard let name = body.readNullTerminatedString(), let value = body.readNullTerminatedString() else {
            throw malformed(message)
        }
        parameters[name] = value
    }

    func readError(_ message: BackendMessage) throws -> PostgresError {
        guard let error = PostgresError(message.body) else { throw malformed(message) }
        return error
    }

    func readNotification(_ message: BackendMessage) throws -> PostgresNotification {
        var body = message.body
        guard let process = body.readInteger(as: UInt32.self), let channel = body.readNullTerminatedString(),
            let payload = body.readNullTerminatedString()
        else { throw malformed(message) }
        return PostgresNotification(channel: channel, payload: payload, process: process)
    }

    func readColumns(_ message: BackendMessage) throws -> ColumnDescription {
        var body = message.body
        guard let count = body.readInteger(as: UInt16.self) else { throw malformed(message) }
        var names: [String] = []
        var types: [PostgresType] = []
        for _ in 0..<count {
            // The name, the table's OID, the column's number, the type's OID, its size, its modifier and the format.
            guard let name = body.readNullTerminatedString(), body.readSlice(length: 6) != nil,
                let oid = body.readInteger(as: UInt32.self), body.readSlice(length: 8) != nil
            else { throw malformed(message) }
            names.append(name)
            types.append(PostgresType(oid: oid))
        }
        return ColumnDescription(names: names, types: types)
    }

    /// Called with the messages of a COPY.
    mutating func receivedCopy(_ message: BackendMessage) throws -> Action {
        guard let current = progress, current.error == nil, !current.isComplete else { throw unexpected(message) }
        switch (message.kind, current.slot.kind, current.copy) {
        case (.copyInResponse, .copyIn, .none):
            progress?.copy = .sending
            return .copyIn(current.slot.isAbandoned ? nil : current.slot.token)
        case (.copyOutResponse, .copyOut, .none): progress?.copy = .receiving
        case (.copyData, .copyOut, .receiving):
            return current.slot.isAbandoned ? .none : .copyOut(current.slot.token, message.body)
        case (.copyDone, .copyOut, .receiving): progress?.copy = .ended
        default: throw unexpected(message)
        }
        return .none
    }

    func unexpected(_ message: BackendMessage) -> ProtocolViolation {
        ProtocolViolation("A message of kind \(Character(Unicode.Scalar(message.kind))) was not expected.")
    }

    func malformed(_ message: BackendMessage) -> ProtocolViolation {
        ProtocolViolation("A message of kind \(Character(Unicode.Scalar(message.kind))) is malformed.")
    }
}

/// What the server says about a statement that it has completed, such as `INSERT 0 1`.
struct CommandTag: Equatable {
    /// The number of rows that were inserted, updated, deleted, merged or copied; 0 for other statements.
    let affectedRows: Int
    let isRollback: Bool

    /// - Returns: `nil` if it is not terminated.
    init?(_ body: ByteBuffer) {
        let bytes = body.readableBytesView
        guard bytes.last == 0 else { return nil }
        isRollback = bytes.starts(with: "ROLLBACK".utf8)
        // SELECT, SHOW, FETCH and MOVE count rows that were not changed.
        let changes = ["INSERT", "UPDATE", "DELETE", "MERGE", "COPY"].contains { bytes.starts(with: $0.utf8) }
        var count = 0
        if changes, let space = bytes.lastIndex(of: UInt8(ascii: " ")) {
            for byte in bytes[bytes.index(after: space)...].dropLast() {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), count < Int.max / 10 - 1 else {
                    return nil
                }
                count = count * 10 + Int(byte - UInt8(ascii: "0"))
            }
        }
        affectedRows = count
    }
}
