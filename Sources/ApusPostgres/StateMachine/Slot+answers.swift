import ApusCore
import NIOCore

/// The messages of the server that answer a request.
extension Slot {
    func receivedParseComplete(_ message: BackendMessage) throws {
        guard parses, !hasParsed, !hasError else { throw message.unexpected }
        hasParsed = true
        if case .statement(let prepared) = kind { prepared.unconfirmedGroup = nil }
    }

    func receivedParameterDescription(_ message: BackendMessage) throws {
        guard hasParsed, !hasBound, !isBetweenExecutions else { throw message.unexpected }
        var body = message.body
        guard let count = body.readInteger(as: UInt16.self), body.readableBytes == 4 * Int(count) else {
            throw message.malformed
        }
        parameterOIDs = (0..<count).compactMap { _ in body.readInteger(as: UInt32.self) }
    }

    func receivedColumns(_ columns: ColumnDescription, _ message: BackendMessage) throws {
        guard !isComplete || isSimple else { throw message.unexpected }
        beginResult(columns)
        guard case .statement(let prepared) = kind else { return }
        guard hasParsed, !hasBound, !isBetweenExecutions else { throw message.unexpected }
        let description = StatementDescription(parameterOIDs: parameterOIDs, columns: columns)
        prepared.description = description
        prepared.statement.described(description, generation: prepared.generation)
    }

    private var isSimple: Bool {
        switch kind {
        case .simple, .commit: true
        case .statement, .copyIn, .copyOut: false
        }
    }

    func receivedBindComplete(_ message: BackendMessage) throws {
        guard case .statement = kind, !hasBound, !hasError, hasParsed || !parses else { throw message.unexpected }
        hasBound = true
    }

    func receivedRow(_ message: BackendMessage) throws {
        guard let columns, !isComplete, !hasError else { throw message.unexpected }
        if case .statement = kind, !hasBound { throw message.unexpected }
        guard !isAbandoned, !hasFailed else { return }
        do {
            try appendRow(message.bytes, columns)
        } catch let error as RowReader.ColumnError {
            fail(AppError(.internal, "A column has a value that cannot be represented.", cause: error))
        }
    }

    func receivedCompletion(_ message: BackendMessage) throws {
        guard !hasError else { throw message.unexpected }
        switch kind {
        case .statement: guard hasBound, !isComplete else { throw message.unexpected }
        case .simple, .commit: break
        case .copyIn, .copyOut: guard case .ended = copy, !isComplete else { throw message.unexpected }
        }
        endExecution()
        guard message.kind == .commandComplete else { return }
        guard let tag = CommandTag(message.bytes) else { throw message.malformed }
        let rows = affectedRows.addingReportingOverflow(tag.affectedRows)
        guard !rows.overflow else { throw message.malformed }
        affectedRows = rows.partialValue
        isRollback = tag.isRollback
    }
}

extension ColumnDescription {
    /// Reads a RowDescription message.
    convenience init(_ message: BackendMessage) throws {
        var body = message.body
        guard let count = body.readInteger(as: UInt16.self) else { throw message.malformed }
        var names: [String] = []
        var types: [PostgresType] = []
        for _ in 0..<count {
            // The name, the table's OID, the column's number, the type's OID, its size, its modifier and the format.
            guard let name = body.readNullTerminatedString(), body.readSlice(length: 6) != nil,
                let oid = body.readInteger(as: UInt32.self), body.readSlice(length: 8) != nil
            else { throw message.malformed }
            names.append(name)
            types.append(PostgresType(oid: oid))
        }
        self.init(names: names, types: types)
    }
}
