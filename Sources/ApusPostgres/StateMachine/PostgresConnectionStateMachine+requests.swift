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

    /// Writes statements that share their fate: outside of a transaction, they are one.
    /// - Throws: An `AppError` of code `invalidArgument` if a value cannot be sent. Nothing is written then.
    mutating func send(
        group: [(statement: PostgresStatement, values: [SQLValue], keepsPrepared: Bool)], token: Token?
    ) throws(AppError) {
        for part in group { try ValueEncoder.validate(part.values) }
        for (index, part) in group.enumerated() {
            write(
                part.statement, part.values, token: token, keepsPrepared: part.keepsPrepared,
                endsGroup: index == group.count - 1, isRetry: false)
        }
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
        var known = isNamed ? prepared.find(statement) : nil
        if let group = known?.unconfirmedGroup, group != currentGroup { known = nil }
        // What another connection has learnt is used as well. The types of the parameters are declared, so they stay true.
        var description = known == nil ? statement.description : known?.description
        if let types = description?.parameters, !ValueEncoder.fit(values, types) {
            // The column may have a larger type by now. If the server infers the same one again, it reports the error.
            (known, description) = (nil, nil)
        }
        let current: PreparedStatement
        var closed: [String] = []
        if let known {
            current = known
        } else {
            current = PreparedStatement(statement, isNamed: isNamed)
            if queue.last?.endsGroup == false { current.unconfirmedGroup = currentGroup }
            closed = parse(current, values, description, isRetry: isRetry)
        }
        bind(current, values, description)
        FrontendMessage.execute(to: &output)
        if endsGroup { FrontendMessage.sync(to: &output) }
        var slot = Slot(
            kind: .statement(current), token: token, values: values, parses: known == nil,
            requested: description?.columns)
        slot.endsGroup = endsGroup
        slot.isRetry = isRetry
        slot.closed = closed
        append(slot, from: start)
    }

    /// - Returns: The names of the prepared statements that are closed before.
    private mutating func parse(
        _ current: PreparedStatement, _ values: [SQLValue], _ description: StatementDescription?, isRetry: Bool
    ) -> [String] {
        let statement = current.statement
        var closed = unclosed
        unclosed = []
        if !current.name.isEmpty {
            if let replaced = prepared.add(current) { closed.append(replaced) }
            // The name may exist although this connection has not prepared it, behind a connection pooler, or if the
            // server skips the request that closes it.
            if isRetry || queue.contains(where: { $0.closed.contains(current.name) }), !closed.contains(current.name) {
                closed.append(current.name)
            }
        }
        for name in closed { FrontendMessage.closeStatement(name, to: &output) }
        let types: [UInt32]
        if let description {
            types = description.declaredOIDs
        } else {
            types = values.map {
                ValueEncoder.declaredType(of: $0, declaresNumbers: statement.declaresNumbers)
            }
        }
        current.declaredTypes = types.map { PostgresType(oid: $0) }
        FrontendMessage.parse(current.name, statement.sql, types: types, to: &output)
        FrontendMessage.describeStatement(current.name, to: &output)
        return closed
    }

    /// Writes a Bind message for the unnamed portal.
    private mutating func bind(
        _ current: PreparedStatement, _ values: [SQLValue], _ description: StatementDescription?
    ) {
        let start = output.writerIndex
        output.writeMultipleIntegers(UInt8(ascii: "B"), UInt32(0), UInt8(0))
        output.writeNullTerminatedString(current.name)
        let count = UInt16(truncatingIfNeeded: values.count)
        // Until the server has described the statement, only the types are certain that were declared, by whichever
        // request has prepared it.
        let types = description?.parameters ?? current.declaredTypes
        let isTyped = types.count == values.count
        output.writeInteger(count)
        for index in values.indices {
            output.writeInteger(
                ValueEncoder.format(of: values[index], as: isTyped ? types[index] : .unknown).rawValue)
        }
        output.writeInteger(count)
        for index in values.indices {
            ValueEncoder.write(values[index], as: isTyped ? types[index] : .unknown, to: &output)
        }
        writeResultFormats(description?.columns)
        output.setInteger(UInt32(output.writerIndex - start - 1), at: start + 1)
    }

    private mutating func writeResultFormats(_ columns: ColumnDescription?) {
        guard let columns else {
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
        if let last = queue.last, !last.endsGroup {
            slot.commitsAlone = last.commitsAlone
        } else {
            // Nobody waits for BEGIN.
            slot.commitsAlone = status == .idle && slot.token != nil
        }
        unansweredBytes += slot.bytes
        if slot.isCopy { copies += 1 }
        if slot.endsGroup { currentGroup += 1 }
        queue.append(slot)
    }

    /// Writes a group of requests again, behind those that were written meanwhile.
    /// - Parameter failedIndex: The one that has failed. A second failure of it is its answer.
    mutating func retry(_ slots: [Slot<Token>], failedAt failedIndex: Int) {
        for (index, slot) in slots.enumerated() {
            switch slot.kind {
            case .statement(let prepared):
                write(
                    prepared.statement, slot.values, token: slot.token, keepsPrepared: !prepared.name.isEmpty,
                    endsGroup: slot.endsGroup, isRetry: slot.isRetry || index == failedIndex)
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
