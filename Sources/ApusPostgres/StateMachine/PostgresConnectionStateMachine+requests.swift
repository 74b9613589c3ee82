import ApusCore
import ApusData
import NIOCore

extension PostgresConnectionStateMachine {
    /// Writes a statement: as one group of messages, so that nothing can come between preparing and executing it.
    /// - Parameters:
    ///   - token: Who waits for the answer.
    ///   - keepsPrepared: Whether the statement may stay prepared for later executions.
    ///   - endsGroup: Whether the group ends here. If not, requests that follow share the fate of this one.
    /// - Throws: An `AppError` of code `invalidArgument` if a value cannot be sent. Nothing is written then.
    mutating func send(
        _ statement: PostgresStatement, _ values: [SQLValue], token: Token?, keepsPrepared: Bool = true,
        endsGroup: Bool = true
    ) throws(AppError) {
        try ValueEncoder.validate(values)
        write(
            statement, values, token: token, keepsPrepared: keepsPrepared, endsGroup: endsGroup, isRetry: false)
    }

    /// Writes a statement without values or rows that begins a group, such as `BEGIN`. If it fails, what follows is not
    /// executed.
    mutating func sendFirst(_ statement: PostgresStatement) {
        let start = output.writerIndex
        let current = PreparedStatement(statement, isNamed: false)
        FrontendMessage.parse("", statement.sql, types: [], to: &output)
        bind(current, [], nil)
        FrontendMessage.execute(to: &output)
        var slot = Slot<Token>(kind: .statement(current), token: nil, values: [], parses: true, requested: nil)
        slot.endsGroup = false
        append(slot, from: start)
    }

    private mutating func write(
        _ statement: PostgresStatement, _ values: [SQLValue], token: Token?, keepsPrepared: Bool, endsGroup: Bool,
        isRetry: Bool
    ) {
        let start = output.writerIndex
        let isNamed = keepsPrepared && options.preparesStatements
        let known = isNamed ? prepared.find(statement) : nil
        let current: PreparedStatement
        var description: StatementDescription?
        if let known {
            current = known
            description = known.description
        } else {
            current = PreparedStatement(statement, isNamed: isNamed)
            // What another connection has learnt. The types of its parameters are declared, so they stay true.
            description = statement.description
            parse(current, values, description, isRetry: isRetry)
        }
        bind(current, values, description)
        FrontendMessage.execute(to: &output)
        if endsGroup { FrontendMessage.sync(to: &output) }
        var slot = Slot(
            kind: .statement(current), token: token, values: values, parses: known == nil,
            requested: description?.columns)
        slot.endsGroup = endsGroup
        slot.isRetry = isRetry
        append(slot, from: start)
    }

    private mutating func parse(
        _ current: PreparedStatement, _ values: [SQLValue], _ description: StatementDescription?, isRetry: Bool
    ) {
        let statement = current.statement
        if !current.name.isEmpty {
            let replaced = prepared.add(current)
            if let replaced { FrontendMessage.closeStatement(replaced, to: &output) }
            // The name may exist although this connection has not prepared it, behind a connection pooler.
            if isRetry, replaced != current.name { FrontendMessage.closeStatement(current.name, to: &output) }
        }
        let types: [UInt32]
        if let description {
            types = description.declaredOIDs
        } else {
            types = values.map {
                ValueEncoder.declaredType(of: $0, declaresNumbers: statement.declaresNumbers)
            }
        }
        FrontendMessage.parse(current.name, statement.sql, types: types, to: &output)
        FrontendMessage.describeStatement(current.name, to: &output)
    }

    /// Writes a Bind message for the unnamed portal.
    private mutating func bind(
        _ current: PreparedStatement, _ values: [SQLValue], _ description: StatementDescription?
    ) {
        let start = output.writerIndex
        output.writeMultipleIntegers(UInt8(ascii: "B"), UInt32(0), UInt8(0))
        output.writeNullTerminatedString(current.name)
        let count = UInt16(truncatingIfNeeded: values.count)
        output.writeInteger(count)
        if let description, description.parameters.count == values.count {
            for index in values.indices {
                output.writeInteger(
                    ValueEncoder.format(of: values[index], as: description.parameters[index]).rawValue)
            }
            output.writeInteger(count)
            for index in values.indices {
                ValueEncoder.write(values[index], as: description.parameters[index], to: &output)
            }
        } else {
            let types = values.map {
                let oid = ValueEncoder.declaredType(of: $0, declaresNumbers: current.statement.declaresNumbers)
                return PostgresType(oid: oid)
            }
            for (value, type) in zip(values, types) {
                output.writeInteger(ValueEncoder.format(of: value, as: type).rawValue)
            }
            output.writeInteger(count)
            for (value, type) in zip(values, types) { ValueEncoder.write(value, as: type, to: &output) }
        }
        writeResultFormats(description?.columns)
        output.setInteger(UInt32(output.writerIndex - start - 1), at: start + 1)
    }

    private mutating func writeResultFormats(_ columns: ColumnDescription?) {
        guard let columns, !columns.names.isEmpty else {
            output.writeInteger(UInt16(0))
            return
        }
        if columns.isBinary {
            output.writeMultipleIntegers(UInt16(1), ValueFormat.binary.rawValue)
            return
        }
        output.writeInteger(UInt16(truncatingIfNeeded: columns.formats.count))
        for format in columns.formats { output.writeInteger(format.rawValue) }
    }

    /// Writes text of the simple protocol, a commit or a COPY.
    mutating func send(_ kind: Slot<Token>.Kind, token: Token?) {
        let start = output.writerIndex
        switch kind {
        case .simple(let sql), .copyIn(let sql), .copyOut(let sql): FrontendMessage.query(sql, to: &output)
        case .commit: FrontendMessage.query("COMMIT", to: &output)
        case .statement(let prepared):
            return write(
                prepared.statement, [], token: token, keepsPrepared: false, endsGroup: true, isRetry: false)
        }
        append(Slot(kind: kind, token: token, values: [], parses: false, requested: nil), from: start)
    }

    private mutating func append(_ slot: Slot<Token>, from start: Int) {
        var slot = slot
        slot.bytes = output.writerIndex - start
        slot.commitsAlone = status == .idle && queue.last?.endsGroup != false
        unansweredBytes += slot.bytes
        queue.append(slot)
    }

    /// Writes a group of requests again, behind those that were written meanwhile.
    mutating func retry(_ slots: [Slot<Token>]) {
        for slot in slots {
            switch slot.kind {
            case .statement(let prepared):
                write(
                    prepared.statement, slot.values, token: slot.token, keepsPrepared: !prepared.name.isEmpty,
                    endsGroup: slot.endsGroup, isRetry: true)
            case .simple, .commit, .copyIn, .copyOut: send(slot.kind, token: slot.token)
            }
        }
    }

    // MARK: COPY

    /// Sends data of the COPY that the server works on.
    /// - Returns: Whether the server still takes data.
    mutating func copyData(_ bytes: some Collection<UInt8>) -> Bool {
        guard case .sending? = progress?.copy else { return false }
        FrontendMessage.copyData(bytes, to: &output)
        return true
    }

    /// Ends the data of a COPY.
    /// - Parameter failure: Why the data is incomplete, so that the server discards it; `nil` if it is complete.
    mutating func endCopyIn(failure: String? = nil) {
        guard case .sending? = progress?.copy else { return }
        progress?.copy = .ended
        if let failure {
            FrontendMessage.copyFail(failure, to: &output)
        } else {
            FrontendMessage.copyDone(to: &output)
        }
    }

    /// Ends the connection in order.
    mutating func terminate() {
        if !hasEnded { FrontendMessage.terminate(to: &output) }
    }
}
