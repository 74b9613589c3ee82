import ApusCore
import ApusData
import NIOCore

extension PostgresConnectionStateMachine {
    /// Writes a statement: as one group of messages, so that nothing can come between preparing and executing it.
    /// - Parameters:
    ///   - values: The values, which were validated.
    ///   - further: The values of further executions of the statement that follow this one, with the same text.
    ///   - token: Who waits for the answer.
    ///   - keepsPrepared: Whether the statement may stay prepared for later executions.
    ///   - endsGroup: Whether the group ends here. If not, requests that follow share the fate of this one: outside of a
    ///     transaction, they are one.
    ///   - isRetry: Whether it is written again after a failure.
    mutating func send(
        _ statement: PostgresStatement, _ values: [SQLValue], further: ArraySlice<SQL> = [], token: Token?,
        keepsPrepared: Bool = true, endsGroup: Bool = true, isRetry: Bool = false
    ) {
        let start = output.writerIndex
        let isNamed = keepsPrepared && options.preparesStatements
        var known = isNamed ? prepared.find(statement) : nil
        if let group = known?.unconfirmedGroup, group != currentGroup { known = nil }
        // What another connection has learnt is used as well. The types of the parameters are declared, so they stay true.
        var description = known == nil ? statement.description : known?.description
        if let types = description?.parameters, !ValueEncoder.fit(values, further, types) {
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
        execute(current, values, further: further, description, endsGroup: endsGroup)
        let slot = Slot(
            kind: .statement(current), token: token, values: values, further: further, parses: known == nil,
            requested: description?.columns)
        slot.endsGroup = endsGroup
        slot.isRetry = isRetry
        slot.closed = closed
        append(slot, from: start)
    }

    /// Writes statements that share their fate, whose values were validated. Executions of one statement that follow each
    /// other are one request.
    /// - Parameter statements: The statement of each.
    mutating func send(group: [SQL], _ statements: [PostgresStatement], token: Token?) {
        var start = 0
        while start < group.count {
            let statement = statements[start]
            var end = start + 1
            while end < group.count, statements[end] === statement { end += 1 }
            send(
                statement, group[start].values, further: group[(start + 1)..<end], token: token,
                keepsPrepared: statement.isKept, endsGroup: end == group.count)
            start = end
        }
    }

    /// Writes a statement without values or rows that begins a group, such as `BEGIN`. If it fails, what follows is not
    /// executed.
    mutating func sendFirst(_ statement: PostgresStatement) {
        let start = output.writerIndex
        let current = PreparedStatement(statement, isNamed: false)
        FrontendMessage.parse("", statement.sql, types: [], to: &output)
        execute(current, [], further: [], nil, endsGroup: false)
        let slot = Slot<Token>(kind: .statement(current), token: nil, parses: true)
        slot.endsGroup = false
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

    /// Writes Bind and Execute for each execution, and Sync at the end of a group.
    private mutating func execute(
        _ current: PreparedStatement, _ values: [SQLValue], further: ArraySlice<SQL>,
        _ description: StatementDescription?, endsGroup: Bool
    ) {
        // Until the server has described the statement, only the types are certain that were declared, by whichever
        // request has prepared it.
        let types = description?.parameters ?? current.declaredTypes
        let columns = description?.columns
        var size = FrontendMessage.sync.count + Self.maximumSize(current, values, types, columns)
        for index in further.indices { size += Self.maximumSize(current, further[index].values, types, columns) }
        output.write(upTo: size) { output in
            Self.execute(current, values, types, columns, &output)
            for index in further.indices { Self.execute(current, further[index].values, types, columns, &output) }
            if endsGroup { output.write(FrontendMessage.sync) }
        }
    }

    private static func maximumSize(
        _ current: PreparedStatement, _ values: [SQLValue], _ types: [PostgresType], _ columns: ColumnDescription?
    ) -> Int {
        let isTyped = types.count == values.count
        // With the counts, and the other message.
        var size = current.bindStart.count + 2 * (values.count + (columns?.formats.count ?? 0)) + 32
        for index in values.indices {
            size += ValueEncoder.maximumSize(of: values[index], as: isTyped ? types[index] : .unknown)
        }
        return size
    }

    /// Writes Bind and Execute for the unnamed portal.
    private static func execute(
        _ current: PreparedStatement, _ values: [SQLValue], _ types: [PostgresType], _ columns: ColumnDescription?,
        _ output: inout MessageWriter
    ) {
        let isTyped = types.count == values.count
        let start = output.count
        output.write(current.bindStart)
        output.write(UInt16(truncatingIfNeeded: values.count))
        for index in values.indices {
            output.write(ValueEncoder.format(of: values[index], as: isTyped ? types[index] : .unknown).rawValue)
        }
        output.write(UInt16(truncatingIfNeeded: values.count))
        for index in values.indices {
            ValueEncoder.write(values[index], as: isTyped ? types[index] : .unknown, to: &output)
        }
        writeResultFormats(columns, to: &output)
        output.replace(at: start + 1, with: UInt32(truncatingIfNeeded: output.count - start - 1))
        output.write(FrontendMessage.execute)
    }

    private static func writeResultFormats(_ columns: ColumnDescription?, to output: inout MessageWriter) {
        guard let columns else { return output.write(UInt16(0)) }
        if columns.isBinary {
            output.write(UInt16(1))
            return output.write(ValueFormat.binary.rawValue)
        }
        output.write(UInt16(truncatingIfNeeded: columns.formats.count))
        for format in columns.formats { output.write(format.rawValue) }
    }

    /// Writes text of the simple protocol, a commit or a COPY.
    mutating func send(_ kind: Slot<Token>.Kind, token: Token?) {
        let start = output.writerIndex
        switch kind {
        case .simple(let sql), .copyIn(let sql), .copyOut(let sql): FrontendMessage.query(sql, to: &output)
        case .commit: FrontendMessage.query("COMMIT", to: &output)
        case .statement(let prepared):
            return send(prepared.statement, [], token: token, keepsPrepared: false)
        }
        append(Slot(kind: kind, token: token), from: start)
    }

    private mutating func append(_ slot: Slot<Token>, from start: Int) {
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
                send(
                    prepared.statement, slot.values, further: slot.further, token: slot.token,
                    keepsPrepared: !prepared.name.isEmpty, endsGroup: slot.endsGroup,
                    isRetry: slot.isRetry || index == failedIndex)
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
