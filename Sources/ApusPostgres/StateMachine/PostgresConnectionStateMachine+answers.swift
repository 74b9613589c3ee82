import ApusCore
import ApusData
import NIOCore

extension PostgresConnectionStateMachine {
    /// Called with each message of the server.
    mutating func received(_ message: BackendMessage) -> Action {
        do {
            switch state {
            case .ready: return try receivedAnswer(message)
            case .authenticating, .starting: return try receivedWhileStarting(message)
            case .initial: throw ProtocolViolation("The server has sent something before it was asked.")
            case .ended: return .none
            }
        } catch let error as AppError {
            return fail(error)
        } catch {
            return fail(AppError(.unavailable, "The database has violated its protocol.", cause: error))
        }
    }

    // MARK: Starting

    private mutating func receivedWhileStarting(_ message: BackendMessage) throws -> Action {
        var body = message.body
        switch (message.kind, state) {
        case (.authentication, .authenticating(var authentication)):
            let action = try authentication.received(body, to: &output)
            state = .authenticating(authentication)
            switch action {
            case .none: return .none
            case .deriveKey(let request): return .deriveKey(request)
            case .succeeded: state = .starting
            }
        case (.backendKeyData, .starting):
            guard let process = body.readInteger(as: UInt32.self), let secret = body.readInteger(as: UInt32.self) else {
                throw malformed(message)
            }
            backendKey = BackendKey(process: process, secret: secret)
        case (.readyForQuery, .starting):
            try readStatus(message)
            state = .ready
            return .started
        case (.parameterStatus, .starting): try readParameter(message)
        case (.noticeResponse, _): return .notice(try readError(message))
        case (.errorResponse, _): return fail(Self.startupError(try readError(message)))
        case (.negotiateProtocolVersion, _):
            throw ProtocolViolation("The server does not know protocol version 3.0.")
        default: throw unexpected(message)
        }
        return .none
    }

    private static func startupError(_ error: PostgresError) -> AppError {
        switch error.sqlState {
        case _ where error.sqlState.starts(withBytesOf: "28"):
            AppError(.internal, "The database has rejected the user or the password.", cause: error)
        case "3D000": AppError(.internal, "The database does not exist.", cause: error)
        case _ where error.condemnsConnection || error.sqlState.starts(withBytesOf: "53"):
            AppError(.unavailable, "The database does not accept connections at the moment.", cause: error)
        default: AppError(postgres: error)
        }
    }

    // MARK: Answers

    private mutating func receivedAnswer(_ message: BackendMessage) throws -> Action {
        switch message.kind {
        case .notificationResponse: return .notification(try readNotification(message))
        case .parameterStatus:
            try readParameter(message)
            return .none
        case .noticeResponse: return .notice(try readError(message))
        case .errorResponse: return try receivedError(message)
        default: break
        }
        if progress == nil {
            guard let slot = queue.popFirst() else { throw unexpected(message) }
            progress = Progress(slot)
        }
        switch message.kind {
        case .dataRow: try receivedRow(message.body)
        case .bindComplete: try receivedBindComplete(message)
        case .commandComplete, .emptyQueryResponse: try receivedCompletion(message)
        case .readyForQuery:
            try readStatus(message)
            return try endGroup(message)
        case .parseComplete: try receivedParseComplete(message)
        case .closeComplete: break
        case .parameterDescription: try receivedParameterDescription(message)
        case .rowDescription: try receivedColumns(try readColumns(message), message)
        case .noData: try receivedColumns(.none, message)
        case .copyInResponse, .copyOutResponse, .copyData, .copyDone: return try receivedCopy(message)
        default: throw unexpected(message)
        }
        return .none
    }

    private mutating func receivedParseComplete(_ message: BackendMessage) throws {
        guard let slot = progress?.slot, slot.parses, progress?.hasParsed == false, progress?.error == nil else {
            throw unexpected(message)
        }
        progress?.hasParsed = true
        if case .statement(let prepared) = slot.kind { prepared.unconfirmedGroup = nil }
    }

    private mutating func receivedBindComplete(_ message: BackendMessage) throws {
        guard let current = progress, case .statement = current.slot.kind, !current.hasBound, current.error == nil,
            current.hasParsed || !current.slot.parses
        else { throw unexpected(message) }
        progress?.hasBound = true
    }

    private mutating func receivedParameterDescription(_ message: BackendMessage) throws {
        guard progress?.hasParsed == true, progress?.hasBound == false else { throw unexpected(message) }
        var body = message.body
        guard let count = body.readInteger(as: UInt16.self), body.readableBytes == 4 * Int(count) else {
            throw malformed(message)
        }
        progress?.parameterOIDs = (0..<count).compactMap { _ in body.readInteger(as: UInt32.self) }
    }

    private mutating func receivedColumns(_ columns: ColumnDescription, _ message: BackendMessage) throws {
        guard let current = progress, !current.isComplete || isSimple(current.slot) else { throw unexpected(message) }
        progress?.columns = columns
        progress?.isComplete = false
        guard case .statement(let prepared) = current.slot.kind else { return }
        guard current.hasParsed, !current.hasBound else { throw unexpected(message) }
        let description = StatementDescription(parameterOIDs: current.parameterOIDs, columns: columns)
        prepared.description = description
        prepared.statement.described(description, generation: prepared.generation)
    }

    private func isSimple(_ slot: Slot<Token>) -> Bool {
        switch slot.kind {
        case .simple, .commit: true
        case .statement, .copyIn, .copyOut: false
        }
    }

    private mutating func receivedCompletion(_ message: BackendMessage) throws {
        guard let current = progress, current.error == nil else { throw unexpected(message) }
        switch current.slot.kind {
        case .statement: guard current.hasBound, !current.isComplete else { throw unexpected(message) }
        case .simple, .commit: break
        case .copyIn, .copyOut:
            guard case .ended = current.copy, !current.isComplete else { throw unexpected(message) }
        }
        progress?.isComplete = true
        if message.kind == .commandComplete {
            guard let tag = CommandTag(message.body) else { throw malformed(message) }
            let rows = (progress?.result.affectedRows ?? 0).addingReportingOverflow(tag.affectedRows)
            guard !rows.overflow else { throw malformed(message) }
            progress?.result.affectedRows = rows.partialValue
            progress?.isRollback = tag.isRollback
        }
        // The next request of the group is answered without a ReadyForQuery in between.
        if !current.slot.endsGroup, let done = progress.take() { answeredInGroup.append(done) }
    }

    private mutating func receivedRow(_ body: ByteBuffer) throws {
        guard let columns = progress?.columns, progress?.isComplete == false, progress?.error == nil else {
            throw ProtocolViolation("A row was not expected.")
        }
        if case .statement? = progress?.slot.kind {
            guard progress?.hasBound == true else { throw ProtocolViolation("A row was not expected.") }
        }
        guard progress?.slot.isAbandoned == false, progress?.decodingError == nil else { return }
        do {
            let row = try RowReader.row(body, columns, requested: progress?.slot.requested)
            progress?.result.rows.append(row)
        } catch let error as RowReader.ColumnError {
            progress?.decodingError = AppError(
                .internal, "A column has a value that cannot be represented.", cause: error)
            progress?.result.rows = []
        }
    }

    // MARK: Errors

    private mutating func receivedError(_ message: BackendMessage) throws -> Action {
        var error = try readError(message)
        error.isInReadOnlyTransaction = isTransactionReadOnly
        if error.condemnsConnection { isCondemned = true }
        guard progress != nil || !queue.isEmpty else {
            // The server ends an idle connection, for example because it shuts down.
            guard error.isFatal else { throw unexpected(message) }
            return fail(AppError(postgres: error))
        }
        if progress == nil, let slot = queue.popFirst() { progress = Progress(slot) }
        guard progress?.error == nil else { throw unexpected(message) }
        progress?.error = error
        progress?.copy = .ended
        if error.isFatal {
            return fail(AppError(.unavailable, "The connection to the database was lost.", cause: error))
        }
        return .none
    }

    /// Called at ReadyForQuery. All requests of the group are answered, or failed together.
    private mutating func endGroup(_ message: BackendMessage) throws -> Action {
        guard let current = progress, current.isComplete || current.error != nil else { throw unexpected(message) }
        if current.slot.isCopy { copies -= 1 }
        guard let error = current.error else {
            guard current.slot.endsGroup else { throw unexpected(message) }
            progress = nil
            return answer(current)
        }
        let failedIndex = answeredInGroup.count
        var slots = answeredInGroup.map(\.slot) + [current.slot]
        while slots.last?.endsGroup == false, let next = queue.popFirst() { slots.append(next) }
        answeredInGroup = []
        progress = nil
        for slot in slots { unansweredBytes -= slot.bytes }
        forgetUnprepared(slots, current, at: failedIndex)
        let isInvalidated = forgetIfInvalid(current, error)
        // A transaction that could not begin is not tried again here: other statements may already be written behind
        // it. Nobody waits for its first statement.
        if status == .idle, !current.slot.isRetry, !current.slot.isAbandoned, slots.allSatisfy({ $0.token != nil }),
            isInvalidated || isMisdirectedCancel(current, error)
        {
            retry(slots, failedAt: failedIndex)
            return .none
        }
        let failure: AppError
        if isInvalidated, !current.slot.isRetry {
            failure = AppError(
                .aborted, "The transaction must be repeated, because a table has changed.",
                cause: ChangedTable(error: error))
        } else {
            failure = AppError(postgres: error)
        }
        return slots.count == 1
            ? .answered(waiting(current.slot), .failure(failure))
            : .answeredGroup(slots.map { (waiting($0), .failure(failure)) })
    }

    private func waiting(_ slot: Slot<Token>) -> Token? { slot.isAbandoned ? nil : slot.token }

    private mutating func answer(_ current: Progress<Token>) -> Action {
        unansweredBytes -= current.slot.bytes
        var answer = current.answer
        if case .commit = current.slot.kind, current.isRollback {
            answer = .failure(
                AppError(
                    .aborted, "The transaction was rolled back, because one of its statements had failed."))
        }
        guard !answeredInGroup.isEmpty else { return .answered(waiting(current.slot), answer) }
        var answers: [(Token?, Answer)] = []
        for answered in answeredInGroup {
            unansweredBytes -= answered.slot.bytes
            answers.append((waiting(answered.slot), answered.answer))
        }
        answeredInGroup = []
        answers.append((waiting(current.slot), answer))
        return .answeredGroup(answers)
    }

    /// Forgets the statements that were to be prepared, but were not because of the error, and remembers those that were to
    /// be closed.
    private mutating func forgetUnprepared(_ slots: [Slot<Token>], _ current: Progress<Token>, at failedIndex: Int) {
        for (index, slot) in slots.enumerated() where index >= failedIndex {
            if index > failedIndex { unclosed += slot.closed }
            guard slot.parses, case .statement(let statement) = slot.kind else { continue }
            if index > failedIndex || !current.hasParsed { prepared.remove(statement) }
        }
    }

    /// Forgets a prepared statement that the server no longer accepts, for example because a table has changed. The
    /// server would report the same error for ever.
    /// - Returns: Whether the error is of that kind. The statement was not executed then.
    private mutating func forgetIfInvalid(_ current: Progress<Token>, _ error: PostgresError) -> Bool {
        guard case .statement(let statement) = current.slot.kind, !current.hasBound else { return false }
        switch error.sqlState {
        case "0A000", "26000": guard !current.slot.parses else { return false }
        case "42P05": guard current.slot.parses else { return false }
        // The formats or types were those of an earlier version of the table.
        case "08P01", "42704": guard current.slot.parses, current.slot.requested != nil else { return false }
        case "42883", "42804", "42846":
            guard !current.slot.parses || current.slot.requested != nil else { return false }
        // The server cannot infer the type of a number.
        case "42P18", "42725":
            guard current.slot.parses, !statement.statement.declaresNumbers,
                current.slot.values.contains(where: \.isNumber)
            else { return false }
            statement.statement.declaresNumbers = true
        default: return false
        }
        statement.statement.forget(generation: statement.generation)
        return true
    }

    /// Whether a statement was hit by the cancellation of another one. It had no effect.
    private func isMisdirectedCancel(_ current: Progress<Token>, _ error: PostgresError) -> Bool {
        guard case .statement = current.slot.kind else { return false }
        return error.sqlState == "57014" && isCancelling && !current.slot.isAbandoned
    }
}

extension SQLValue {
    fileprivate var isNumber: Bool {
        switch self {
        case .integer, .real: true
        case .null, .text, .blob, .timestamp: false
        }
    }
}
